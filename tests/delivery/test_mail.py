"""E-mail to staff, against a real SMTP server: encrypted or not at all, and every fault has its own consequence."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import select
from sqlalchemy.orm import Session as Database
from sqlalchemy.orm import sessionmaker

from companion.clock import FixedClock
from companion.models import Circuit, Flag, Membership, Message
from companion.settings import Settings as CompanionSettings
from companion.use_cases.cases import flag
from companion.use_cases.people import duty
from notifications.channels import Later, Never, Parcel, Uncertain
from notifications.channels.email import channel, doctor
from notifications.channels.email.channel import MailChannel
from notifications.channels.email.settings import SmtpSettings
from notifications.dispatcher import Dispatcher
from notifications.models import Delivery
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at

pytestmark = pytest.mark.timeout(30)
PARCEL = Parcel(
    attempt_id="0" * 32,
    message_id=1,
    attempt=1,
    fence=1,
    address="johan@unn.example",
    body="Ny hastesak i Følge.\n\nhttps://folge.example/staff",
    started_at=at(0),
    valid_for=timedelta(days=1),
    channel="mail",
    topic="1.1794214800",
)


@dataclass
class Postman:
    """What the server answers, and what it has taken. `hangs_up`: it takes the mail and says nothing more."""

    answers: Mapping[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    taken: list[Envelope] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.answers.get("mail", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("rcpt", "250 OK")

    async def handle_DATA(self, server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        if self.hangs_up:
            server.transport.abort()
        return self.answers.get("data", "250 OK")


class Server(Controller):
    """On whatever port is free."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


def read(taken: Envelope) -> EmailMessage:
    """The mail as a reader shows it."""
    assert isinstance(taken.content, bytes)
    return message_from_bytes(taken.content, policy=policy.default)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("smtp") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def postman() -> Postman:
    return Postman()


def _knows(_server: Any, _session: Session, _envelope: Envelope, _how: str, given: Any) -> AuthResult:
    return AuthResult(success=(given.login, given.password) == (b"folge", b"hemmelig"), handled=False)


@pytest.fixture
def smtp(postman: Postman, certificate: Path) -> Iterator[SmtpSettings]:
    """A server on this machine that wants STARTTLS and a password."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = Server(
        postman,
        hostname="127.0.0.1",
        port=0,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=_knows,
    )
    server.start()
    yield SmtpSettings(
        host="localhost",
        port=server.port,
        user="folge",
        password="hemmelig",
        sender="folge@unn.example",
        ca_file=str(certificate),
    )
    server.stop()


def test_a_mail_goes_encrypted_and_says_only_that_a_case_waits(smtp: SmtpSettings, postman: Postman) -> None:
    for _ in range(2):
        channel.hand_over(smtp, PARCEL)
    first, again = map(read, postman.taken)
    assert (first["Subject"], first["To"]) == ("Ny hastesak i Følge.", "johan@unn.example")
    assert "https://folge.example/staff" in first.get_content()
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Message-ID"] == again["Message-ID"] == "<1.1794214800@unn.example>"


@pytest.mark.parametrize(
    ("answers", "fault", "code"),
    [
        ({"rcpt": "550 no such"}, Never, "mail_refused"),
        ({"rcpt": "450 try later"}, Later, "450"),
        ({"mail": "553 not you"}, Later, "refused_us"),
        ({"data": "451 full"}, Later, "451"),
        ({"data": "554 spam"}, Never, "mail_refused"),
    ],
)
def test_what_the_server_says_decides_whether_it_is_tried_again(
    smtp: SmtpSettings,
    postman: Postman,
    answers: dict[str, str],
    fault: type[Later] | type[Never],
    code: str,
) -> None:
    postman.answers = answers
    with pytest.raises(fault, match=code):
        channel.hand_over(smtp, PARCEL)


def test_a_server_that_falls_silent_after_the_mail_leaves_it_in_doubt(
    smtp: SmtpSettings, postman: Postman
) -> None:
    postman.hangs_up = True
    with pytest.raises(Uncertain):
        channel.hand_over(smtp, PARCEL)
    assert len(postman.taken) == 1


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"password": "feil"}, "refused_us"),
        ({"ca_file": ""}, "no_connection"),
        ({"port": 9}, "no_connection"),
    ],
)
def test_before_the_mail_nothing_was_taken_and_it_waits(
    smtp: SmtpSettings, postman: Postman, wrong: dict[str, object], code: str
) -> None:
    settings = SmtpSettings.model_validate({**smtp.model_dump(), **wrong})
    with pytest.raises(Later) as said:
        channel.hand_over(settings, PARCEL)
    assert (said.value.code, postman.taken) == (code, [])
    [found] = asyncio.run(doctor.ask_server(settings))
    assert found.how == "FAIL"


def test_without_starttls_nothing_is_said_in_the_clear(postman: Postman, smtp: SmtpSettings) -> None:
    plain = Server(postman, hostname="127.0.0.1", port=0)
    plain.start()
    with pytest.raises(Later, match="no_starttls"):
        channel.hand_over(smtp.model_copy(update={"port": plain.port}), PARCEL)
    plain.stop()
    assert postman.taken == []


def test_the_doctor_says_what_is_missing(smtp: SmtpSettings) -> None:
    house = CompanionSettings()
    assert [one.how for one in asyncio.run(doctor.ask_server(smtp))] == ["ok"]
    assert [one.how for one in doctor.look(smtp, house, ())] == ["ok"]
    assert [one.how for one in doctor.look(SmtpSettings(), house, ())] == ["note"]
    for wrong in ({"sender": ""}, {"sender": "Følge"}, {"user": ""}, {"security": "none", "host": "a.no"}):
        assert [one.how for one in doctor.look(smtp.model_copy(update=wrong), house, ())] == ["FAIL"]
    assert [one.how for one in doctor.look(smtp, house, ["SMTP_HOTS"])] == ["ok", "FAIL"]


# --- through the post -------------------------------------------------------------------------------------------------


@pytest.fixture
def tick(
    ward: SmallWard, smtp: SmtpSettings, sessions: sessionmaker[Database], make_dispatcher: MakeDispatcher
) -> Callable[[datetime], Counter[str]]:
    """A colleague who wants e-mail, a red case, and the post."""
    johan = ward.colleague("Johan Berg", "post3")
    ward.db.add(Membership(professional_id=johan.id, unit_id=ward.units["post3"].id, role="staff"))
    duty.choose(ward.db, johan, way="mail", phone="", email="johan@unn.example", hours="duty", now=at(0))
    flag.raise_flag(
        ward.db, ward.patient(), code="low_mood", level="red", unit=ward.units["post3"], now=at(0)
    )
    clock = FixedClock(at(0))
    dispatcher: Dispatcher = make_dispatcher(also={"mail": MailChannel(smtp, sessions, clock)})

    def once(now: datetime) -> Counter[str]:
        ward.db.commit()
        counts = asyncio.run(dispatcher.tick(FixedClock(now)))
        assert counts["errors"] == 0
        ward.db.expire_all()
        return counts

    return once


def the_letter(ward: SmallWard) -> Message:
    return ward.db.scalars(select(Message).where(Message.kind == "duty")).one()


def test_a_red_case_comes_by_mail(
    ward: SmallWard, tick: Callable[[datetime], Counter[str]], postman: Postman
) -> None:
    assert tick(at(0))["accepted"] == 1
    assert [one.rcpt_tos for one in postman.taken] == [["johan@unn.example"]]
    assert (the_letter(ward).state, the_letter(ward).channel) == ("accepted", "mail")


def test_what_is_not_taken_is_tried_again(
    ward: SmallWard, tick: Callable[[datetime], Counter[str]], postman: Postman
) -> None:
    postman.answers = {"rcpt": "450 busy"}
    assert tick(at(0))["later"] == 1
    postman.answers = {}
    assert tick(at(0, 10, 6))["accepted"] == 1


def test_what_is_in_doubt_goes_once_more_as_the_same_mail_and_is_no_patient_s_case(
    ward: SmallWard, tick: Callable[[datetime], Counter[str]], postman: Postman
) -> None:
    postman.hangs_up = True
    assert tick(at(0))["unknown"] == 1
    postman.hangs_up = False
    for minute in (3, 11, 12):
        tick(at(0, 10, minute))
    assert (the_letter(ward).state, len(postman.taken)) == ("accepted", 2)
    same = {read(one)["Message-ID"] for one in postman.taken}
    assert len(same) == 1
    assert [one.code for one in ward.db.scalars(select(Flag))] == ["low_mood"]
    assert ward.db.scalars(select(Delivery.outcome).order_by(Delivery.attempt)).all() == [
        "not_found",
        "accepted",
    ]


def test_a_server_that_will_not_have_us_is_left_alone_and_stops_no_patient_s_letters(
    ward: SmallWard, smtp: SmtpSettings, sessions: sessionmaker[Database]
) -> None:
    clock = FixedClock(at(0))
    wrong = SmtpSettings.model_validate({**smtp.model_dump(), "password": "feil"})
    mail = MailChannel(wrong, sessions, clock)
    said = []
    for number in range(5):
        with pytest.raises(Later) as later:
            asyncio.run(mail.send(replace(PARCEL, message_id=number)))
        said.append(later.value.code)
    assert said == ["refused_us"] * 3 + ["resting"] * 2
    ward.db.expire_all()
    assert [(one.lane, one.state) for one in ward.db.scalars(select(Circuit))] == [("mail", "open")]
