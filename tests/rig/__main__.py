"""`make chaos`. A door of its own: the processes it forks need not read the harness's module as theirs."""

import typer

from tests.rig.chaos import main

if __name__ == "__main__":
    typer.run(main)
