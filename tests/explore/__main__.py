"""`make explore`: draws a seed, or takes `SEED`, and explores; what is found is printed, and kept under `var/explore`."""

import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.explore.finds import Finds

KEPT = Path("var/explore")


def main(tests: Sequence[str]) -> int:
    """Explores the tests named, or all; the exit code of pytest."""
    seed = os.environ.get("SEED") or str(secrets.randbelow(2**32))
    if os.environ.get("PYTHONHASHSEED") != seed:
        # The order of sets is drawn too; a process learns it when it begins.
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.explore", *tests],
            os.environ | {"SEED": seed, "PYTHONHASHSEED": seed},
        )
    print(f"SEED={seed}", flush=True)
    kept = KEPT / f"{seed}.txt"
    kept.unlink(missing_ok=True)
    how = ["-m", "hypothesis", "--hypothesis-profile=explore", f"--hypothesis-seed={seed}"]
    code = pytest.main([*how, *tests], plugins=[Finds(kept)])
    if kept.exists():
        print(f"\n{kept.read_text(encoding='utf-8')}\nfound with SEED={seed}, kept in {kept}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
