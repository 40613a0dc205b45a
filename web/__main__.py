"""The server's door: `python -m web [--demo]`, on HOST and PORT.

The server is imported when it serves, so that the door itself opens at once.
"""

import sys
from typing import Annotated

import typer

from companion.errors import Misconfigured


def serve(
    demo: Annotated[
        bool, typer.Option("--demo", help="An invented ward, its phones, and the dispatcher beside it.")
    ] = False,
    beside: Annotated[bool, typer.Option("--beside", hidden=True, help="One of WEB_PROCESSES.")] = False,
) -> None:
    """Serves until told to stop."""
    from web import serving

    try:
        if demo:
            serving.serve_demo()
        else:
            raise typer.Exit(serving.serve(beside=beside))
    except Misconfigured as problem:
        print(problem, file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(serve)
