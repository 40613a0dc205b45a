"""The guard in front of every route; see `web.house.security.access` for what a route declares."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from companion.errors import LevelTooLow, NotAllowed
from companion.rules.access import Actor
from companion.settings import Settings
from companion.use_cases.people import programs
from web.house.house import Now, house_of
from web.house.posted import Db, Fields, Posted, get_fields
from web.house.security import (
    PERSONS,
    SAFE,
    WITHOUT_TOKEN,
    Access,
    FormRefused,
    access_of,
    check_token,
    form_token,
    given_token,
    same_origin,
)
from web.house.visitor import Signed, SignInNeeded, signed_in
from web.house.work import Work

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def guard(request: Request, db: Db, now: Now, fields: Posted) -> None:
    """Lets the request through to its route, or raises `SignInNeeded`, `LevelTooLow` or `NotAllowed`."""
    house, access = house_of(request), access_of(request.scope["endpoint"])
    request.state.posted = fields
    unsafe = request.method not in SAFE
    if unsafe and access.audience != "hook" and not same_origin(request, house.settings.public_url):
        raise FormRefused("posted from another site")
    if access.audience in PERSONS:
        signed = signed_in(request, db, now)
        if signed is None:
            raise SignInNeeded(access.audience, over=house.cookies.session in request.cookies)
        _check_person(access, signed, house.settings)
    if access.audience == "integration":
        request.state.program = _program(request, db)
    if unsafe and access.audience not in WITHOUT_TOKEN:
        _check_form(request, db, now, fields)


def _check_person(access: Access, signed: Signed, settings: Settings) -> None:
    if access.audience not in ("any", "meeting", signed.actor.kind):
        raise NotAllowed(f"for {access.audience}")
    if signed.actor.level < (level := access.needs(settings)):
        raise LevelTooLow(level.name)


def _program(request: Request, db: Db) -> Actor:
    kind, _space, token = request.headers.get("authorization", "").partition(" ")
    found = programs.from_token(db, token.strip()) if kind.lower() == "bearer" else None
    if found is None:
        raise SignInNeeded("integration")
    return found


def _check_form(request: Request, db: Db, now: Now, fields: Fields) -> None:
    house, given = house_of(request), given_token(request, fields)
    cookie = request.cookies.get(house.cookies.form)
    signed = signed_in(request, db, now)
    check_token(given, signed.csrf if signed else None, form_token(house.ring, cookie) if cookie else None)


# The guard has read the token; here it is only told to the description of the door.
_token = HTTPBearer(auto_error=False, scheme_name="token", description="The token of an integration account")


def program(request: Request, _given: Annotated[object, Security(_token)]) -> Actor:
    """The program asking. Only for routes whose audience is integrations."""
    return cast(Actor, request.state.program)


Program = Annotated[Actor, Depends(program)]


class GuardedRoute(APIRoute):
    """A route that says who it is for (else it does not come into being) and lets nobody else in."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        access_of(endpoint)
        self._work = Work(endpoint, guard)
        super().__init__(path, self._work.route(), **options)

    def get_route_handler(self) -> Handler:
        """Whoever may not come in hears that, also when what they sent makes no sense."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError:
                await self._work.let_in(request=request, fields=await get_fields(request))
                raise

        return answer


def new_router(*, documented: bool = False) -> APIRouter:
    """A router whose routes are guarded. `documented`: they stand in the description for programs."""
    return APIRouter(route_class=GuardedRoute, include_in_schema=documented)
