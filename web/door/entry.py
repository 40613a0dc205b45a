"""The doors: links, typed codes, one-time codes, BankID and HelseID, and the way out."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.concurrency import run_in_threadpool

from companion.errors import Conflict, Invalid, LinkProblem, LinkUnknown, NotFound
from companion.models import SignIn
from companion.rules.access import Actor, ActorKind, Level
from companion.rules.questionnaire import address
from companion.use_cases import check_in, sign_in
from notifications.channels.push import devices
from web.door.oidc import Attempt, Door
from web.house import birth_date
from web.house.deps import (
    Db,
    Fields,
    House,
    MaybeSigned,
    Now,
    Page,
    Pages,
    Posted,
    Signed,
    TheHouse,
    go,
    house_of,
    language_of,
    new_router,
    signed_in,
    transaction,
)
from web.house.errors import SignInFailed, error_page, look_up
from web.house.pages import OSLO
from web.house.security import access, local_path
from web.house.slots import slot_of

router = new_router()

HOME: dict[str, str] = {"patient": "/patient", "relative": "/relative", "professional": "/staff"}
_LOGIN_LIFE = timedelta(minutes=10)

Provider = Literal["patient", "professional"]


def doors_of(request: Request) -> Mapping[str, Door]:
    """The providers' doors, by audience."""
    return cast(Mapping[str, Door], request.app.state.doors)


Doors = Annotated[Mapping[str, Door], Depends(doors_of)]


@router.get("/")
@access("public")
def front(page: Page, signed: MaybeSigned, house: TheHouse) -> Response:
    """The way in; whoever is signed in goes home."""
    if signed:
        return go("/birth-date" if signed.actor.level is Level.link else HOME[signed.actor.kind])
    return go("/demo") if house.demo else page("door/front.html")


# --- choosing a door --------------------------------------------------------------------------------------------------


@router.get("/sign-in")
@access("public")
def choose(
    page: Page, doors: Doors, next: str = "", to: str = "", level: str = "", why: str = ""
) -> Response:
    """BankID, a code by SMS, or HelseID for those who work here."""
    return page(
        "door/sign_in.html",
        next=local_path(next) or "",
        surer=level == Level.high.name,
        working=to == "professional",
        why=why,
        doors=frozenset(doors),
    )


@router.get("/sign-in/code")
@access("public")
def code_form(page: Page, next: str = "") -> Response:
    """Asks for the mobile number."""
    return page("door/code_number.html", next=local_path(next) or "", phone="", problems={})


@router.post("/sign-in/code")
@access("public")
def code_ask(page: Page, db: Db, now: Now, fields: Posted) -> Response:
    """Sends the code, and asks for it in the same way whether or not anybody has that number."""
    phone, after = fields.get("phone", ""), local_path(fields.get("next")) or ""
    try:
        sign_in.ask_for_code(db, phone, now=now)
    except Invalid as error:
        return page("door/code_number.html", status=422, next=after, phone=phone, problems=error.problems)
    return page("door/code_enter.html", next=after, phone=phone, fields=Fields(), problems={})


@router.post("/sign-in/code/enter")
@access("public")
def code_enter(request: Request, page: Page, db: Db, now: Now, fields: Posted) -> Response:
    """The code and the birth date open."""
    phone, after = fields.get("phone", ""), local_path(fields.get("next")) or ""
    try:
        opened = sign_in.enter_code(db, phone, fields.get("code", ""), _birth(fields, now), now=now)
    except Invalid as error:
        return page(
            "door/code_enter.html",
            status=422,
            next=after,
            phone=phone,
            fields=fields,
            problems=error.problems,
        )
    except LinkProblem:
        return page(
            "door/code_enter.html",
            status=423,
            next=after,
            phone="",
            fields=fields,
            problems={"code": "locked"},
        )
    return _let_in(request, db, opened, after or HOME[opened.sign_in.audience])


# --- links and typed codes --------------------------------------------------------------------------------------------


@router.get("/l")
@access("public")
def link_page(page: Page) -> Response:
    """The page a link opens. What is after # stays in the browser; a script posts it. Opening it spends nothing."""
    return page("door/link.html")


@router.post("/l")
@access("public")
def link_redeem(request: Request, db: Db, now: Now, signed: MaybeSigned, fields: Posted) -> Response:
    """Recognises the letter the link came in."""
    token = fields.get("token", "")
    try:
        opened = sign_in.redeem_link(db, token, now=now)
    except LinkProblem as error:
        return _shut(request, error, token=None if isinstance(error, LinkUnknown) else token)
    return _recognised(request, db, opened, signed, now)


@router.post("/l/new")
@access("public")
def link_new(page: Page, db: Db, now: Now, signed: MaybeSigned, fields: Posted) -> Response:
    """A fresh link to the registered number; the answer is the same whatever came of it."""
    sign_in.send_new_link(db, token=fields.get("token"), sign_in=signed.sign_in if signed else None, now=now)
    return page("door/link_sent.html")


@router.get("/k")
@access("public")
def typed_form(page: Page) -> Response:
    """For those who type: the number and the six digits of the message."""
    return page("door/typed.html", fields=Fields(), problems={})


@router.post("/k")
@access("public")
def typed_redeem(
    request: Request, page: Page, db: Db, now: Now, signed: MaybeSigned, fields: Posted
) -> Response:
    """Recognises the letter by number and digits."""
    try:
        opened = sign_in.redeem_typed(db, fields.get("phone", ""), fields.get("code", ""), now=now)
    except Invalid as error:
        return page("door/typed.html", status=422, fields=fields, problems=error.problems)
    except LinkUnknown:
        return page("door/typed.html", status=422, fields=fields, problems={"code": "wrong"})
    except LinkProblem as error:
        return _shut(request, error)
    return _recognised(request, db, opened, signed, now)


@router.get("/birth-date")
@access("any")
def birth_form(page: Page, db: Db, signed: MaybeSigned, next: str = "") -> Response:
    """Er du Kari? Skriv fødselsdatoen din."""
    assert signed is not None
    if signed.actor.level is not Level.link:
        return go(HOME[signed.actor.kind])
    return page(
        "door/birth_date.html",
        next=local_path(next) or "",
        first_name=sign_in.first_name(db, signed.sign_in),
        fields=Fields(),
        problems={},
    )


@router.post("/birth-date")
@access("any")
def birth_check(
    request: Request, page: Page, db: Db, now: Now, signed: MaybeSigned, fields: Posted
) -> Response:
    """The right date opens what the letter was about."""
    assert signed is not None
    if signed.actor.level is not Level.link:
        return go(HOME[signed.actor.kind])
    after = local_path(fields.get("next")) or ""
    try:
        opened = sign_in.confirm_birth_date(db, signed.sign_in, _birth(fields, now), now=now)
    except Invalid as error:
        return page(
            "door/birth_date.html",
            status=422,
            next=after,
            first_name=sign_in.first_name(db, signed.sign_in),
            fields=fields,
            problems=error.problems,
        )
    except LinkProblem as error:
        return _shut(request, error, token="")
    return _let_in(request, db, opened, after or _landing(db, opened.sign_in, opened.sign_in, now))


# --- BankID and HelseID -----------------------------------------------------------------------------------------------


@router.get("/sign-in/{provider}")
@access("public")
async def leave(
    request: Request,
    provider: Provider,
    house: TheHouse,
    doors: Doors,
    now: Now,
    next: str = "",
    hint: str | None = None,
) -> Response:
    """Off to the provider."""
    if provider not in doors:
        raise NotFound
    async with slot_of(request).left():
        address, attempt = await doors[provider].leave(
            provider, next=local_path(next) or "", lang=language_of(request), hint=hint, now=now
        )
    response = RedirectResponse(_here(house, address), 303)
    house.cookies.put(
        response,
        house.cookies.login,
        _signer(house).dumps(attempt.as_dict()),
        int(_LOGIN_LIFE.total_seconds()),
    )
    return response


@router.get("/oidc/callback/{provider}")
@access("public")
async def come_back(
    request: Request, provider: Provider, now: Now, house: TheHouse, doors: Doors
) -> Response:
    """Back from the provider: verified, and known here."""
    attempt = _attempt(request, house)
    if attempt is None or attempt.audience != provider or provider not in doors:
        raise SignInFailed("no sign-in under way")
    # Neither a page nor a transaction waits while we talk to the provider.
    async with slot_of(request).left():
        claims = await doors[provider].come_back(attempt, request.query_params, now=now)
    response = await run_in_threadpool(_welcome, request, attempt, claims, now)
    house.cookies.drop(response, house.cookies.login)
    return response


@router.get("/oidc/front-channel-logout")
@access("public")
def signed_out_there(db: Db, now: Now, iss: str = "", sid: str = "") -> Response:
    """Signed out at the provider. It comes in a frame without our cookie, so the provider's session id decides."""
    if iss and sid:
        sign_in.end_at_provider(db, iss, sid, now=now)
    return Response(status_code=204)


# --- out --------------------------------------------------------------------------------------------------------------


@router.post("/sign-out")
@access("public")
def sign_out(db: Db, now: Now, house: TheHouse, signed: MaybeSigned, fields: Posted) -> Response:
    """Ends the session, asks the browser to forget what it kept, and sends no more push to it."""
    if device := fields.get("device"):
        devices.remove(db, device)
    if signed:
        sign_in.end(db, signed.sign_in, now=now)
    response = go("/signed-out")
    house.cookies.drop(response, house.cookies.session)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@router.get("/signed-out")
@access("public")
def signed_out(page: Page) -> Response:
    """Out, and how to come in again."""
    return page("door/signed_out.html")


# --- inside -----------------------------------------------------------------------------------------------------------


def _welcome(request: Request, attempt: Attempt, claims: Mapping[str, Any], now: datetime) -> Response:
    """Signed in, in place of whoever this browser was; or not known here."""
    with transaction(request) as db:
        signed = signed_in(request, db, now)
        before = signed.sign_in if signed else None
        try:
            opened = sign_in.from_identity(
                db, cast(ActorKind, attempt.audience), claims, before=before, now=now
            )
        except NotFound:
            return Pages(request, db)(
                "door/not_known.html", status=403, working=attempt.audience == "professional"
            )
        if before is not None:
            sign_in.end(db, before, now=now)
        return _let_in(request, db, opened, attempt.next or HOME[opened.sign_in.audience])


def _let_in(request: Request, db: Db, opened: sign_in.Opened, path: str) -> Response:
    house, response = house_of(request), go(path)
    sign_in.carry_on(db, opened, request.cookies.get(house.cookies.session))
    house.cookies.put(response, house.cookies.session, opened.secret)
    return response


def _recognised(
    request: Request, db: Db, opened: sign_in.Opened, signed: Signed | None, now: datetime
) -> Response:
    """A link to a meeting leads to its waiting room; every other one asks for the birth date first.

    Whoever is signed in already, and surer, stays so: their own link only leads where it leads.
    """
    if signed and signed.actor.level > Level.link and sign_in.same_person(db, signed.sign_in, opened.sign_in):
        sign_in.end(db, opened.sign_in, now=now)
        return go(_landing(db, opened.sign_in, signed.sign_in, now))
    landing = sign_in.landing(db, opened.sign_in)
    path = f"/meeting/{landing.id}" if landing.purpose == "meeting" else "/birth-date"
    return _let_in(request, db, opened, path)


def _landing(db: Db, link: SignIn, session: SignIn, now: datetime) -> str:
    """Where the link that began one session leads whoever is in the other (most often it is the same)."""
    landing = sign_in.landing(db, link)
    if landing.purpose == "meeting":
        return f"/meeting/{landing.id}"
    if landing.purpose == "check_in" and session.audience == "patient":
        return _question(db, session, cast(UUID, landing.id), now)
    return HOME[session.audience]


def _question(db: Db, session: SignIn, check_in_id: UUID, now: datetime) -> str:
    """Straight to the question to go on with; what is closed or all answered is told by the check-in's own page."""
    who = Actor("patient", session.patient_id, Level[session.level])
    try:
        unanswered = check_in.review(db, who, check_in_id, now=now).unanswered
    except (Conflict, NotFound):
        unanswered = None
    return f"/patient/check-in/{check_in_id}" + (f"/{address(unanswered)}" if unanswered else "")


def _shut(request: Request, error: LinkProblem, token: str | None = None) -> Response:
    """The page of a link that does not open; `token` (empty: the session knows) lets it offer a new one. Tries are kept."""
    return error_page(request, look_up(error), renew=token)


def _birth(fields: Fields, now: datetime) -> date | None:
    """The date as typed; what cannot be a date is nobody's birth date, so it does not cost a try."""
    return birth_date.read(
        fields.get("day", ""),
        fields.get("month", ""),
        fields.get("year", ""),
        today=now.astimezone(OSLO).date(),
    )


def _signer(house: House) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(house.ring.index("login cookie", "signing key"))


def _attempt(request: Request, house: House) -> Attempt | None:
    try:
        kept = _signer(house).loads(
            request.cookies.get(house.cookies.login, ""), max_age=int(_LOGIN_LIFE.total_seconds())
        )
    except BadSignature:
        return None
    return Attempt(**kept)


def _here(house: House, address: str) -> str:
    """An address of our own as a path, so that whoever came by another name of the same machine stays there."""
    return address.removeprefix(house.settings.public_url.rstrip("/"))
