"""celery on Redis: `put` queues, `work` carries with a prefork process per core, acknowledging late, until killed."""

import os
import sys

from celery import Celery

from bench.peers.http import post


def main(action: str, url: str, where: str, messages: int) -> None:
    """One action."""
    app = Celery("bench", broker=where)
    app.conf.update(task_acks_late=True, task_ignore_result=True, worker_hijack_root_logger=False)
    task = app.task(name="post")(post)
    if action == "put":
        with app.producer_pool.acquire(block=True) as producer:
            for serial in range(messages):
                task.apply_async((url, serial), producer=producer)
    else:
        print("ready", flush=True)
        sys.stdin.readline()
        quiet = ("--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat")
        app.worker_main(["worker", "--pool=prefork", f"--concurrency={os.cpu_count()}", *quiet])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
