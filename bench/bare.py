"""The limit: the same client, session settings and form in a loop that only posts. No database, no state, no words.

`python -m bench.bare JSON`, to be driven like `bench.carrier`.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from resource import RUSAGE_SELF, getrusage
from time import perf_counter

import aiohttp
import uvloop
from yarl import URL

from bench.letter import AUTHORIZATION, PATH, form

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def post_all(url: str, messages: int, in_flight: int, as_ours: bool) -> dict[str, float]:
    """Posts every message, `in_flight` at a time; given as fields, or `as_ours` ready-made, as our channel gives them."""
    loop = asyncio.get_running_loop()
    session = aiohttp.ClientSession(
        headers={"Authorization": AUTHORIZATION},
        timeout=aiohttp.ClientTimeout(sock_connect=3, sock_read=30, total=33),
        connector=aiohttp.TCPConnector(limit=in_flight, keepalive_timeout=5),
    )
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    serials = iter(range(messages))
    began, used = perf_counter(), getrusage(RUSAGE_SELF)
    await asyncio.gather(*(_post(session, url + PATH, serials, as_ours) for _ in range(in_flight)))
    seconds, now = perf_counter() - began, getrusage(RUSAGE_SELF)
    await session.close()
    return {"seconds": seconds, "cpu": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime}


async def _post(session: aiohttp.ClientSession, url: str, serials: Iterator[int], as_ours: bool) -> None:
    for serial in serials:
        fields = form(serial)
        data = URL.build(query=fields).raw_query_string.encode() if as_ours else fields
        headers = _FORM if as_ours else None
        async with session.post(url, data=data, headers=headers, allow_redirects=False) as answer:
            said = json.loads(await answer.read())
            assert answer.status == 201
            assert said["sid"]


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    run = uvloop.run if order["as_ours"] else asyncio.run
    print(json.dumps(run(post_all(**order))), flush=True)
