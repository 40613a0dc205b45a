"""procrastinate on PostgreSQL: `put` queues, `work` carries with one worker, 64 at a time, by a shared aiohttp session."""

import asyncio
import json
import sys

import aiohttp
from procrastinate import App, PsycopgConnector

from bench.letter import AUTHORIZATION, PATH, form


async def main(action: str, url: str, where: str, messages: int) -> None:
    """One action."""
    app = App(connector=PsycopgConnector(conninfo=where))
    session = aiohttp.ClientSession(
        headers={"Authorization": AUTHORIZATION}, connector=aiohttp.TCPConnector(limit=64)
    )

    async def post(serial: int) -> None:
        async with session.post(url + PATH, data=form(serial)) as answer:
            said = json.loads(await answer.read())
            if answer.status != 201 or not said["sid"]:
                raise RuntimeError(f"the provider says {answer.status}")

    task = app.task(name="post")(post)
    async with app.open_async(), session:
        if action == "put":
            await app.schema_manager.apply_schema_async()
            for begin in range(0, messages, 1000):
                await task.batch_defer_async(
                    *({"serial": serial} for serial in range(begin, min(messages, begin + 1000)))
                )
        else:
            print("ready", flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            await app.run_worker_async(concurrency=64, install_signal_handlers=False)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
