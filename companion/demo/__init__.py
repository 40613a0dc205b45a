"""An invented ward and the people around it, made only through use-cases; also the tests' cast.

`found` sets up units and professionals. `History` then lives through the weeks before the demo's first day: every morning it
discharges whoever goes home that day, and after each round of the dispatcher it lets people answer, or not, as their story says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion import library
from companion.demo import midway
from companion.models import CheckIn, Flag, Message, Patient, Professional, Unit
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day, to_utc
from companion.rules.national_id import make_synthetic
from companion.rules.questionnaire import Item
from companion.rules.quiet_hours import is_working_day
from companion.settings import Settings
from companion.use_cases import check_in
from companion.use_cases import meetings as meet
from companion.use_cases.cases import flag
from companion.use_cases.going_home import places, plan
from companion.use_cases.going_home.discharge import MeasureDraft, check, discharge
from companion.use_cases.messages import contact
from companion.use_cases.passport import lines as passport
from companion.use_cases.relatives import share

OPENS_AT = time(11)


@dataclass(frozen=True)
class Persona:
    """Somebody a newcomer can be. `audience`: patient, relative, professional. National ids are synthetic."""

    key: str
    name: str
    role: str
    audience: str
    national_id: str
    phone: str
    birth: date


@dataclass(frozen=True)
class Workplace:
    """A unit of the demo."""

    key: str
    kind: str
    name: str
    phone: str
    hours: str = "hverdager 8–15"
    municipality: str | None = None


@dataclass(frozen=True)
class Colleague:
    """A professional of the demo and where they work."""

    key: str
    name: str
    title: str
    birth: date
    unit: str
    role: str
    phone: str


@dataclass(frozen=True)
class Guest:
    """A patient of the demo: who, what happened, and how the story goes from there.

    `home` is days since discharge on the demo's first day (negative: still on the ward); `known`: how many days before going home
    the ward wrote it down, 0 when on the day itself. `story` names a way to answer; `relative_phone` where it matters which;
    `by_sms`: has agreed to answer by SMS itself. `by_push`: has asked for push, on the demo's first day.
    """

    name: str
    birth: date
    municipality: str
    template: str
    home: int
    story: str = "well"
    language: str = "nb"
    hour: str = ""
    measures: tuple[tuple[str, str, int], ...] = ()
    matters: str = ""
    relative: tuple[str, str] | None = None
    phone: str = field(default="")
    by_sms: bool = False
    by_push: bool = False
    known: int = 0
    relative_phone: str = ""


WORKPLACES = (
    Workplace("unn-post3", "ward", "Post 3, UNN Tromsø", "+4777000010", "hele døgnet", "5501"),
    Workplace("art-troms", "art", "ART Troms", "+4777000020", municipality="5501"),
    Workplace(
        "tromso-rehab", "municipal_rehab", "Rehabiliteringsteamet, Tromsø", "+4777000000", municipality="5501"
    ),
    Workplace(
        "tromso-ke", "coordinating_unit", "Koordinerende enhet, Tromsø", "+4777000001", municipality="5501"
    ),
    Workplace(
        "harstad-rehab",
        "municipal_rehab",
        "Fysio- og ergoterapi, Harstad",
        "+4777000030",
        municipality="5503",
    ),
    Workplace(
        "harstad-ke", "coordinating_unit", "Koordinerende enhet, Harstad", "+4777000031", municipality="5503"
    ),
    Workplace("senja-rehab", "municipal_rehab", "Rehabilitering, Senja", "+4777000040", municipality="5530"),
    Workplace(
        "balsfjord-rehab", "municipal_rehab", "Rehabilitering, Balsfjord", "+4777000050", municipality="5532"
    ),
    Workplace(
        "karlsoy-ke", "coordinating_unit", "Koordinerende enhet, Karlsøy", "+4777000060", municipality="5534"
    ),
    Workplace(
        "kafjord-rehab", "municipal_rehab", "Rehabilitering, Kåfjord", "+4777000070", municipality="5540"
    ),
    Workplace(
        "nordreisa-rehab", "municipal_rehab", "Rehabilitering, Nordreisa", "+4777000080", municipality="5544"
    ),
    Workplace(
        "karasjok-ke",
        "coordinating_unit",
        "Koordinerende enhet, Karasjok",
        "+4777000090",
        municipality="5610",
    ),
    Workplace("alta-rehab", "municipal_rehab", "Rehabilitering, Alta", "+4777000095", municipality="5601"),
)

COLLEAGUES = (
    Colleague("sofia", "Sofia Berg", "sykepleier", date(1991, 3, 12), "unn-post3", "staff", "+4777000010"),
    Colleague("eva", "Eva Lund", "logoped", date(1979, 9, 2), "unn-post3", "therapist", "+4777000011"),
    Colleague(
        "johan", "Johan Bakk", "fysioterapeut", date(1985, 6, 21), "tromso-rehab", "therapist", "+4777000000"
    ),
    Colleague(
        "siri", "Siri Myhre", "ergoterapeut", date(1988, 11, 5), "art-troms", "therapist", "+4777000020"
    ),
    Colleague("marit", "Marit Solli", "koordinator", date(1972, 1, 30), "tromso-ke", "staff", "+4777000001"),
    Colleague(
        "geir",
        "Geir Nordgård",
        "fysioterapeut",
        date(1980, 4, 8),
        "harstad-rehab",
        "therapist",
        "+4777000030",
    ),
    Colleague(
        "anita",
        "Anita Kvam",
        "ergoterapeut",
        date(1990, 8, 17),
        "balsfjord-rehab",
        "therapist",
        "+4777000050",
    ),
)

_PHYSIO = ("Fysioterapi to ganger i uken", "municipality", 12)
_WALK = ("Gå en tur hver dag", "patient", 3)
_STROKE_CLINIC = ("Kontroll på slagpoliklinikken", "hospital", 90)
_WALKER = ("Rullator fra hjelpemiddelsentralen", "municipality", 10)
_SPEECH = ("Logoped en gang i uken", "municipality", 21)
_ART_VISIT = ("Hjemmebesøk av ART", "art", 14)
_GP = ("Time hos fastlegen", "gp", 21)
_NAV = ("Møte med NAV om gradert arbeid", "nav", 30)
_GROUP = ("Treningsgruppe i kommunen", "municipality", 21)
_REST = ("Planlegg hvile midt på dagen", "patient", 7)
_FALLS = ("Fallsikring hjemme", "municipality", 14)

KARI = Persona(
    "kari",
    "Kari Nilsen",
    "Pasient",
    "patient",
    make_synthetic(date(1958, 5, 4), 0),
    "+4740000001",
    date(1958, 5, 4),
)
ANNE = Persona(
    "anne",
    "Anne Nilsen",
    "Datter",
    "relative",
    make_synthetic(date(1986, 10, 9), 0),
    "+4740000002",
    date(1986, 10, 9),
)
KARI_MEASURES = (_PHYSIO, _WALK, _STROKE_CLINIC)
RUTH = Persona(
    "ruth",
    "Ruth Amundsen",
    "Pasient",
    "patient",
    make_synthetic(date(1950, 2, 17), 0),
    "+4740000003",
    date(1950, 2, 17),
)
IDA = Persona(
    "ida",
    "Ida Amundsen",
    "Datter",
    "relative",
    make_synthetic(date(1978, 6, 3), 0),
    "+4740000004",
    date(1978, 6, 3),
)


def persona_of(colleague: Colleague) -> Persona:
    """The colleague as somebody to sign in as."""
    return Persona(
        colleague.key,
        colleague.name,
        colleague.title.capitalize(),
        "professional",
        make_synthetic(colleague.birth, 0),
        colleague.phone,
        colleague.birth,
    )


PERSONAS = (KARI, ANNE, RUTH, IDA, *(persona_of(colleague) for colleague in COLLEAGUES))

GUESTS = (
    # still on the ward, or just home
    Guest("Arne Johansen", date(1949, 2, 11), "5530", "stroke", -1, measures=(_PHYSIO, _ART_VISIT)),
    Guest("Solveig Hansen", date(1944, 7, 3), "5503", "frail", -1, measures=(_FALLS, _WALKER)),
    Guest("Nils Henrik Eira", date(1961, 12, 1), "5610", "neuro", -3, language="se", measures=(_PHYSIO,)),
    Guest("Turid Larsen", date(1956, 4, 19), "5501", "copd_heart", 0, measures=(_GROUP, _GP)),
    Guest(
        "Bjørn Pedersen",
        date(1970, 10, 27),
        "5532",
        "musculoskeletal",
        1,
        measures=(_GROUP, _NAV),
        by_push=True,
    ),
    Guest(
        "Ingrid Moe",
        date(1938, 3, 8),
        "5501",
        "frail",
        1,
        measures=(_WALKER, _FALLS),
        relative=("Tor Moe", "sønn"),
    ),
    # asked, waiting for an answer
    Guest("Rolf Andreassen", date(1952, 9, 14), "5501", "stroke", 14, "late", measures=(_PHYSIO, _SPEECH)),
    Guest("Gerd Mikkelsen", date(1959, 1, 23), "5544", "cancer", 7, "late", measures=(_GROUP, _GP)),
    Guest("Trond Isaksen", date(1966, 5, 30), "5503", "general", 7, "halfway", measures=(_PHYSIO,)),
    Guest("Liv Jakobsen", date(1947, 8, 2), "5530", "frail", 7, "late", measures=(_FALLS,)),
    # no smartphone: he answers by SMS
    Guest(
        "Odd Kristiansen",
        date(1948, 6, 6),
        "5501",
        "general",
        7,
        "late",
        measures=(_GROUP, _WALK),
        by_sms=True,
    ),
    # answered well
    Guest(
        "Berit Nilsen",
        date(1951, 11, 11),
        "5501",
        "stroke",
        30,
        measures=(_PHYSIO, _WALK),
        relative=("Jan Nilsen", "ektefelle"),
    ),
    Guest("Kjell Olsen", date(1963, 2, 28), "5503", "musculoskeletal", 30, measures=(_GROUP,)),
    Guest("Astrid Karlsen", date(1945, 9, 9), "5532", "copd_heart", 14, measures=(_GROUP, _GP)),
    Guest("Hans Jensen", date(1958, 12, 24), "5530", "cancer", 30, measures=(_GP,)),
    Guest("Randi Johnsen", date(1969, 3, 17), "5601", "neuro", 60, measures=(_PHYSIO,)),
    Guest("Steinar Larssen", date(1977, 7, 7), "5501", "general", 30, measures=(_NAV,)),
    Guest("Unni Berg", date(1955, 10, 1), "5544", "amputation", 14, measures=(_PHYSIO, _ART_VISIT)),
    Guest("Magne Solheim", date(1942, 5, 12), "5503", "frail", 30, measures=(_FALLS, _WALKER)),
    Guest("Elin Antonsen", date(1983, 1, 5), "5501", "mecfs", 60, measures=(_REST,)),
    Guest("Vidar Strand", date(1979, 8, 29), "5540", "tbi", 90, measures=(_NAV, _GP)),
    Guest("Oddny Bakken", date(1940, 6, 16), "5501", "copd_heart", 30, measures=(_GROUP,)),
    Guest(
        "Inger Sara",
        date(1962, 4, 4),
        "5540",
        "stroke",
        90,
        language="se",
        measures=(_PHYSIO, _STROKE_CLINIC),
    ),
    Guest(
        "Ahmed Hassan", date(1975, 11, 19), "5501", "musculoskeletal", 7, language="en", measures=(_PHYSIO,)
    ),
    # flagged
    Guest(
        "Ola Hansen",
        date(1992, 2, 6),
        "5534",
        "tbi",
        42,
        "worse",
        measures=(_REST, _NAV),
        relative=("Hilde Hansen", "kone"),
    ),
    Guest("Mari Eira", date(1985, 3, 21), "5540", "mecfs", 19, "postpones", measures=(_REST,), hour="11:30"),
    Guest(
        "Reidar Fagerli",
        date(1953, 7, 25),
        "5501",
        "stroke",
        15,
        "nobody_called",
        measures=(_PHYSIO, _SPEECH),
    ),
    Guest("Wenche Lorentzen", date(1960, 9, 30), "5501", "cancer", 7, "tired", measures=(_GROUP,)),
    Guest(
        "Tore Henriksen",
        date(1948, 12, 12),
        "5532",
        "copd_heart",
        14,
        "wants_contact",
        measures=(_GROUP, _WALK),
    ),
    Guest(
        "Synnøve Dahl", date(1967, 6, 2), "5503", "musculoskeletal", 30, "waiting_list", measures=(_PHYSIO,)
    ),
    Guest("Harald Wiik", date(1937, 10, 10), "5530", "frail", 7, "fell", measures=(_FALLS, _WALKER)),
    Guest("Gunn Sivertsen", date(1971, 4, 26), "5501", "general", 30, "no_transport", measures=(_GROUP,)),
    Guest("Ellen Mathisen", date(1964, 8, 8), "5501", "stroke", 14, "low_mood", measures=(_PHYSIO,)),
    # silent, unreachable, by phone
    Guest(
        "Per Olsen",
        date(1945, 1, 15),
        "5532",
        "frail",
        13,
        "silent",
        measures=(_WALKER,),
        relative=("Knut Olsen", "sønn"),
    ),
    Guest("Sverre Thomassen", date(1957, 5, 18), "5501", "copd_heart", 9, "silent", measures=(_GROUP,)),
    Guest("Inga Sara", date(1967, 2, 2), "5610", "cancer", 8, "silent", measures=(_GP,), phone="+4799900001"),
    Guest(
        "Dagny Rasmussen",
        date(1936, 11, 3),
        "5530",
        "frail",
        3,
        "by_phone",
        measures=(_FALLS,),
        phone="+4777000099",
    ),
    Guest(
        "Asbjørn Lie",
        date(1954, 2, 20),
        "5501",
        "musculoskeletal",
        0,
        "late",
        measures=(_GROUP,),
        phone="+4799900006",
    ),
    # paused, ended
    Guest("Egil Martinsen", date(1950, 3, 29), "5501", "stroke", 20, "readmitted", measures=(_PHYSIO,)),
    Guest("Klara Nygård", date(1933, 9, 5), "5503", "frail", 30, "died", measures=(_FALLS,)),
    Guest("Jorunn Hauge", date(1981, 12, 20), "5501", "mecfs", 20, "stopped_sms", measures=(_REST,)),
    Guest(
        "Frode Wilhelmsen",
        date(1974, 7, 14),
        "5501",
        "tbi",
        14,
        "meeting_today",
        measures=(_REST, _ART_VISIT),
        relative=("Kine Wilhelmsen", "kone"),
    ),
    # in the middle of everything, for a newcomer to look at
    Guest(
        RUTH.name,
        RUTH.birth,
        "5501",
        "stroke",
        midway.HOME,
        "midway",
        measures=(_PHYSIO, _WALK, _STROKE_CLINIC, _ART_VISIT),
        matters="Å lese for barnebarna igjen.",
        relative=(IDA.name, "datter"),
        phone=RUTH.phone,
        known=midway.KNOWN,
        relative_phone=IDA.phone,
    ),
)

# How a story answers, by the end of a question's linkId; everything else is answered well.
ANSWERS: Mapping[str, Mapping[str, str]] = {
    "well": {"started": "yes", "coordinator": "have", "individual_plan": "no_need"},
    "worse": {
        "worse": "clearly",
        "worse.text": "Verre i hodet. Tåler ikke lys.",
        "contact": "true",
        "contact.text": "Hodepinen er verre enn før.",
    },
    "nobody_called": {"started": "not_yet", "why": "nobody_contacted"},
    "tired": {"started": "not_yet", "why": "too_ill", "fatigue": "8"},
    "wants_contact": {"contact": "true", "contact.text": "Jeg lurer på medisinene mine."},
    "waiting_list": {"started": "not_yet", "why": "waiting_list"},
    "fell": {"fall": "true", "fall.injury": "true"},
    "no_transport": {"started": "not_yet", "why": "no_transport"},
    "low_mood": {"phq2.interest": "2", "phq2.down": "2", "started": "unknown"},
    "asks_for_coordinator": {"coordinator": "want"},
}
_GOOD = {
    "how": "good",
    "fatigue": "3",
    "pain": "2",
    "worse": "no",
    "contact": "false",
    "fall": "false",
    "passport": "yes",
}
_NEVER_ANSWER = ("silent", "by_phone", "late", "halfway", "postpones", "stopped_sms", "midway")
_FIRST_DAY_BACK = timedelta(days=95)
ARRIVED = ("accepted", "sent", "delivered")


def opening_day(today: date) -> date:
    """The demo's first day: the latest Tuesday whose week is all working days, so that Kari's third day is one too."""
    day = today - timedelta(days=(today.weekday() - 1) % 7)
    while not all(is_working_day(day + timedelta(days=ahead)) for ahead in range(-1, 4)):
        day -= timedelta(days=7)
    return day


def opens_at(today: date) -> datetime:
    """The moment the demo's clock stands at when a newcomer comes."""
    return to_utc(opening_day(today), OPENS_AT)


def found(db: Session, settings: Settings, *, now: datetime) -> None:
    """Units and the people who work there."""
    places.load_municipalities(db)
    for unit in WORKPLACES:
        places.add_unit(
            db,
            key=unit.key,
            kind=unit.kind,
            name=unit.name,
            phone=unit.phone,
            hours=unit.hours,
            municipality=unit.municipality,
        )
    for colleague in COLLEAGUES:
        places.add_professional(
            db,
            name=colleague.name,
            national_id=make_synthetic(colleague.birth, 0),
            title=colleague.title,
            units=[colleague.unit],
            role=colleague.role,
            phone=colleague.phone,
            settings=settings,
            now=now,
        )


def actor_of(db: Session, key: str) -> Actor:
    """A colleague, as the person asking."""
    colleague = next(one for one in COLLEAGUES if one.key == key)
    known = make_synthetic(colleague.birth, 0)
    person = db.scalars(select(Professional).where(Professional.national_id_index == known)).one()
    units = frozenset(membership.unit_id for membership in person.memberships)
    return Actor(
        kind="professional",
        id=person.id,
        level=Level.high,
        name=person.name,
        unit_id=next(iter(units)),
        unit_ids=units,
        roles=frozenset(membership.role for membership in person.memberships),
    )


class History:
    """The weeks before the demo's first day, lived one half day at a time: `morning`, the dispatcher, `afternoon`."""

    def __init__(self, settings: Settings, opening: date) -> None:
        self.settings = settings
        self.opening = opening
        self._patients: dict[str, UUID] = {}

    def days(self) -> Iterator[date]:
        """From the first discharge to the opening day."""
        for back in range(_FIRST_DAY_BACK.days, -1, -1):
            yield self.opening - timedelta(days=back)

    def by_push(self) -> list[UUID]:
        """The patients who have asked for push."""
        return [self._patients[guest.name] for guest in GUESTS if guest.by_push]

    def morning(self, db: Session, day: date) -> None:
        """At nine: whoever goes home today, or is soon to, is discharged; readmissions, deaths and meetings are registered."""
        now = to_utc(day, time(9))
        sofia = actor_of(db, "sofia")
        for number, guest in enumerate(GUESTS):
            # A coming discharge is registered on the opening day, the others on the day itself.
            if day == self.opening - timedelta(days=max(guest.home + guest.known, 0)):
                self._send_home(db, sofia, guest, number, now)
            if day == self.opening - timedelta(days=2) and guest.name in self._patients:
                self._turn(db, sofia, guest, now)
            if day == self.opening and guest.story == "meeting_today":
                self._meet(db, guest, to_utc(day, time(14)), now)
            if guest.story == "midway":
                self._midway(db, sofia, guest, day, now)

    def afternoon(self, db: Session, day: date) -> None:
        """At noon: people who have been asked answer, or do not, as their story says; colleagues work on the list."""
        now = to_utc(day, time(12)) if day < self.opening else to_utc(day, time(10, 30))
        by_id = {patient_id: name for name, patient_id in self._patients.items()}
        stories = {guest.name: guest for guest in GUESTS}
        told = (
            select(Message.id).where(Message.check_in_id == CheckIn.id, Message.state.in_(ARRIVED)).exists()
        )
        asked = select(CheckIn).where(CheckIn.state == "asked", told).order_by(CheckIn.asked_at)
        waiting = db.scalars(asked).all()
        for one in waiting:
            guest = stories[by_id[one.patient_id]]
            self._answer(db, guest, one, last=self._is_last(guest, one), now=now)
        if day < self.opening:
            self._work_on_the_list(db, now)

    def _send_home(self, db: Session, sofia: Actor, guest: Guest, number: int, now: datetime) -> None:
        going_home = self.opening - timedelta(days=guest.home)
        form = {
            "national_id": make_synthetic(guest.birth, 0),
            "name": guest.name,
            "phone": guest.phone or f"+47400010{number:02}",
            "language": guest.language,
            "municipality_number": guest.municipality,
            "ward": "unn-post3",
            "discharged_on": going_home.isoformat(),
            "template": guest.template,
            "hour": guest.hour,
        }
        measures = [MeasureDraft(title, owner, str(due)) for title, owner, due in guest.measures]
        checked = check(db, form, measures, settings=self.settings, today=local_day(now))
        stay = discharge(db, sofia, checked, now=now).stay
        self._patients[guest.name] = stay.patient_id
        self._write_passport(db, sofia, guest, stay.patient_id, now)
        if guest.by_sms:
            contact.agree_to_sms(db, sofia, stay.patient_id, True, now=now)
        if guest.relative:
            name, relation = guest.relative
            share.give(
                db,
                sofia,
                stay.patient_id,
                share.GrantDraft(
                    name=name,
                    phone=guest.relative_phone or f"+47400020{number:02}",
                    birth_date=None,
                    relation=relation,
                    scopes=frozenset({"passport", "meetings"}),
                    until=local_day(now) + timedelta(days=180),
                ),
                now=now,
            )

    def _write_passport(
        self, db: Session, sofia: Actor, guest: Guest, patient_id: UUID, now: datetime
    ) -> None:
        lines = [("matters", guest.matters or MATTERS[guest.template], False)]
        lines += [(section, text, critical) for section, text, critical in LINES.get(guest.template, ())]
        for section, text, critical in lines:
            passport.write_line(db, sofia, patient_id, section, text, critical, now=now)

    def _turn(self, db: Session, sofia: Actor, guest: Guest, now: datetime) -> None:
        patient_id = self._patients[guest.name]
        if guest.story == "readmitted":
            plan.readmit(db, sofia, patient_id, now=now)
        elif guest.story == "died":
            plan.register_death(db, sofia, patient_id, local_day(now), now=now)
        elif guest.story == "stopped_sms":
            plan.opt_out(db, db.get_one(Patient, patient_id), now=now)

    def _midway(self, db: Session, sofia: Actor, guest: Guest, day: date, now: datetime) -> None:
        match (self.opening - day).days:
            case midway.HOME:
                midway.going_home(db, sofia, self._patients[guest.name], now=now)
            case midway.WROTE:
                midway.writes_herself(db, db.get_one(Patient, self._patients[guest.name]), now=now)
            case midway.INVITED:
                self._meet(db, guest, to_utc(self.opening, OPENS_AT) + midway.SOON, now)
            case midway.ASKED_TO_BE_CALLED:
                midway.asks_to_be_called(db, guest.phone, now=to_utc(day, time(10)))

    def _meet(self, db: Session, guest: Guest, starts_at: datetime, now: datetime) -> None:
        patient_id = self._patients[guest.name]
        grants = share.grants_of(db, actor_of(db, "sofia"), patient_id, now=now)
        meet.offer(
            db,
            actor_of(db, "siri"),
            patient_id,
            starts_at,
            relatives=[grant.relative_id for grant in grants],
            now=now,
        )

    def _is_last(self, guest: Guest, one: CheckIn) -> bool:
        """Whether it is this check-in the story is about: the last one asked before the demo opens."""
        days = [planned.day_offset for planned in library.plan_template(guest.template).check_ins]
        return one.day == max(day for day in days if day <= max(guest.home, days[0]))

    def _answer(self, db: Session, guest: Guest, one: CheckIn, *, last: bool, now: datetime) -> None:
        patient = db.get_one(Patient, one.patient_id)
        who = Actor(kind="patient", id=patient.id, level=Level.code, name=patient.name)
        if last and guest.story == "postpones":
            if one.postponed < 2:
                check_in.postpone(db, who, one.id, now=now)
            return
        if last and guest.story in _NEVER_ANSWER and guest.story != "halfway":
            return
        own = ANSWERS.get(guest.story, {})
        if guest.story == "midway":
            own = midway.ANSWERS.get(one.day, {})
        elif not last:
            # What the story will say of a measure is not yet decided the first time.
            own = {"started": "unknown"} if own.get("started") == "not_yet" else {}
        stop_after = 2 if last and guest.story == "halfway" else None
        if answer_all(db, who, one.id, own, now=now, stop_after=stop_after):
            check_in.finish(db, who, one.id, now=now)

    def _work_on_the_list(self, db: Session, now: datetime) -> None:
        """Old cases were taken and closed long ago; of the fresh ones, one is in hand."""
        for raised in db.scalars(select(Flag).where(Flag.state == "open").order_by(Flag.opened_at)):
            db.refresh(raised)
            if raised.state != "open":
                # Closed together with another one from the same check-in.
                continue
            worker = self._worker(db, raised.unit_id)
            age = now - raised.opened_at
            if (
                worker
                and local_day(raised.opened_at) < self.opening - timedelta(days=7)
                and age > timedelta(hours=20)
            ):
                flag.claim(db, worker, raised.id, now=now)
                flag.contact(db, worker, raised.id, "phone", True, "Snakket med pasienten.", now=now)
                flag.close(db, worker, raised.id, "helped", now=now)
            elif worker and raised.code == "high_fatigue":
                flag.claim(db, worker, raised.id, now=now)

    def _worker(self, db: Session, unit_id: UUID) -> Actor | None:
        unit = db.get_one(Unit, unit_id)
        return next((actor_of(db, one.key) for one in COLLEAGUES if one.unit == unit.key), None)


def answer_all(
    db: Session,
    who: Actor,
    check_in_id: UUID,
    own: Mapping[str, str],
    *,
    now: datetime,
    stop_after: int | None = None,
) -> bool:
    """Answers question after question, by `own` where it says something, else well. False when it stopped after so many."""
    answered = 0
    link_id: str | None = check_in.page(db, who, check_in_id, None, now=now).item.link_id
    while link_id is not None:
        if answered == stop_after:
            return False
        shown = check_in.page(db, who, check_in_id, link_id, now=now)
        said = _say(shown.item, own)
        link_id = check_in.save(db, who, check_in_id, link_id, [said] if said else [], now=now)
        answered += 1
    return True


def _say(item: Item, own: Mapping[str, str]) -> str:
    short = item.link_id.split(".", 2)[-1] if item.link_id.startswith("measure.") else item.link_id
    if short in own:
        return own[short]
    if short in ANSWERS["well"]:
        return ANSWERS["well"][short]
    if short in _GOOD:
        return _GOOD[short]
    if item.type == "choice":
        return item.options[0].code
    return {"boolean": "false", "integer": "3"}.get(item.type, "")


MATTERS = {
    "stroke": "Å kunne lese for barnebarna igjen.",
    "tbi": "Å komme tilbake i jobb på verkstedet.",
    "cognitive": "Å bo hjemme hos meg selv.",
    "cancer": "Å orke en tur i fjæra.",
    "neuro": "Å kunne strikke og gå til butikken.",
    "mecfs": "Å ha krefter igjen til familien.",
    "musculoskeletal": "Å kunne dra på fiske igjen.",
    "frail": "Å klare trappa hjemme.",
    "copd_heart": "Å synge i koret.",
    "amputation": "Å gå uten krykker.",
    "general": "Å komme i gang igjen.",
}
LINES: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    "stroke": (
        ("talk", "Snakk rolig, ett spørsmål om gangen. Jeg forstår godt, men ordene kommer sent.", False),
        ("important", "Svelger tynn drikke dårlig", False),
        ("important", "Allergisk mot penicillin", True),
    ),
    "tbi": (("talk", "Ett tema om gangen. Jeg blir fort sliten av støy.", False),),
    "frail": (("aids", "Rullator inne og ute", False), ("important", "Har falt før", False)),
    "copd_heart": (("important", "Bruker oksygen om natten", True),),
    "mecfs": (("talk", "Korte samtaler. Ring helst etter kl. 12.", False),),
}
