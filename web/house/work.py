"""A request is one piece of work in one thread and one transaction: let in, answered, written down, committed, then sent.

FastAPI finds what stands in the address, the form or the body. Everything a route asks for by a plain function is found here,
since FastAPI would hand each of them to a thread of its own.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature
from typing import Any, get_args

from fastapi import Request, Response
from fastapi.params import Depends
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from companion.db import was_too_late
from companion.errors import Misconfigured
from web.house import log
from web.house.drafts import settle
from web.house.house import house_of
from web.house.security import SAFE
from web.house.visitor import forget, stay_awake

Endpoint = Callable[..., Any]
Sessions = sessionmaker[Session]
_REQUEST = Parameter("request", Parameter.KEYWORD_ONLY, annotation=Request)


@dataclass(frozen=True)
class Asked:
    """A function with where each of its arguments comes from: found by FastAPI under that name, or by another function."""

    function: Endpoint
    sources: Mapping[str, "str | Asked"]

    def __call__(self, given: Mapping[str, Any], made: dict[Endpoint, Any]) -> Any:
        """Calls it; what several ask for is `made` once."""
        found = {
            name: given[source] if isinstance(source, str) else source.once(given, made)
            for name, source in self.sources.items()
        }
        return self.function(**found)

    def once(self, given: Mapping[str, Any], made: dict[Endpoint, Any]) -> Any:
        """What it gives, in this request."""
        if self.function not in made:
            made[self.function] = self(given, made)
        return made[self.function]


class Work:
    """A route with its guard in front and its transaction around it."""

    def __init__(self, endpoint: Endpoint, guard: Endpoint) -> None:
        outside = {"request": _REQUEST}
        self._guard, self._answer = _asked(guard, outside), _asked(endpoint, outside)
        self._outside = list(outside.values())

    def route(self) -> Endpoint:
        """What FastAPI sees: a function that asks only for what FastAPI must find."""
        endpoint = self._answer.function

        def work(**given: Any) -> Any:
            return _in_transaction([self._guard, self._answer], given)

        async def wait(**given: Any) -> Any:
            await self.let_in(**given)
            return await self._answer(given, {})

        route = wraps(endpoint)(wait if inspect.iscoroutinefunction(endpoint) else work)
        returned = inspect.signature(endpoint, eval_str=True).return_annotation
        route.__signature__ = Signature(self._outside, return_annotation=returned)  # type: ignore[attr-defined]
        return route

    async def let_in(self, **given: Any) -> None:
        """The guard alone."""
        await run_in_threadpool(_in_transaction, [self._guard], given)


def _in_transaction(steps: Iterable[Asked], given: Mapping[str, Any]) -> Any:
    house, request = house_of(given["request"]), given["request"]
    if request.method in SAFE and house.readers is not None:
        try:
            return _look(house.readers, house.sessions, steps, given)
        except OperationalError as failed:
            if not was_too_late(failed):
                raise
    with house.sessions() as db:
        answer = _do(db, steps, given)
        if request.method not in SAFE and isinstance(answer, Response):
            settle(request, db, answer)
        _write_down(request, db)
    return answer


def _look(readers: Sessions, sessions: Sessions, steps: Iterable[Asked], given: Mapping[str, Any]) -> Any:
    """The page from one look at the database; then, before it is sent, who has looked."""
    with readers() as db:
        answer = _do(db, steps, given)
        db.commit()
    with sessions() as db:
        _write_down(given["request"], db)
    return answer


def _do(db: Session, steps: Iterable[Asked], given: Mapping[str, Any]) -> Any:
    request: Request = given["request"]
    forget(request)
    request.state.db, request.state.seen = db, []
    made: dict[Endpoint, Any] = {}
    return [step(given, made) for step in steps][-1]


def _write_down(request: Request, db: Session) -> None:
    stay_awake(request, db)
    log.write(request, db)
    db.commit()


def _asked(function: Endpoint, outside: dict[str, Parameter]) -> Asked:
    """Puts into `outside` what FastAPI has to find for it."""
    parameters = inspect.signature(function, eval_str=True).parameters
    return Asked(function, {name: _source(one, outside) for name, one in parameters.items()})


def _source(parameter: Parameter, outside: dict[str, Parameter]) -> str | Asked:
    if parameter.annotation in (Request, HTTPConnection):
        return _REQUEST.name
    wanted = next(
        (one.dependency for one in get_args(parameter.annotation) if isinstance(one, Depends)), None
    )
    if wanted is not None and _is_ours(wanted):
        return _asked(wanted, outside)
    found = parameter.replace(kind=Parameter.KEYWORD_ONLY)
    if outside.setdefault(found.name, found) != found:
        raise Misconfigured(f"{found.name} is asked for in two ways")
    return found.name


def _is_ours(wanted: Endpoint) -> bool:
    """Whether FastAPI would put it into a thread; what waits for the body, or describes itself, stays FastAPI's."""
    plain = inspect.isfunction(wanted) or inspect.isclass(wanted)
    return plain and not inspect.iscoroutinefunction(wanted)
