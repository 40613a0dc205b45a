"""huey on SQLite with fsync: `put` queues, `work` carries with 32 threads until killed."""

import sys

from huey import SqliteHuey

from bench.peers.http import post


def main(action: str, url: str, where: str, messages: int) -> None:
    """One action."""
    queue = SqliteHuey(filename=where, fsync=True, results=False)
    task = queue.task()(post)
    if action == "put":
        for serial in range(messages):
            task(url, serial)
    else:
        print("ready", flush=True)
        sys.stdin.readline()
        queue.create_consumer(workers=32, worker_type="thread", periodic=False, initial_delay=0.01).run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
