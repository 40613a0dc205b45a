"""`notifications report`: what is no day of ours is a sentence."""

import os
import subprocess
import sys
from pathlib import Path


def test_a_day_long_before_us_or_to_come_is_a_sentence(tmp_path: Path) -> None:
    days = ("0001-01-01", "9999-12-31")
    for process in [report(f"sqlite:///{tmp_path}/never-opened", day) for day in days]:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (2, "")
        assert "Invalid value for --day" in err
        assert "Traceback" not in err


def report(database_url: str, day: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "notifications", "report", "--day", day],
        cwd=Path(__file__).resolve().parents[2],
        env={
            "PATH": os.environ["PATH"],
            "COMPANION_ENVIRONMENT": "test",
            "COMPANION_DATABASE_URL": database_url,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
