"""The short version of `make chaos`: everything is killed, nothing is lost, nothing goes twice."""

from pathlib import Path

import pytest

from tests.rig import chaos

SEED = 20261126


# It waits for what has to happen, not for a time; a machine may be slow.
@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_goes_twice(database_url: str, tmp_path: Path) -> None:
    report = chaos.run(database_url, chaos.SHORT, SEED, tmp_path)
    assert not report.wrong, report.table()
