"""How fast a lane calls its provider: as agreed, and slower while that is too fast, so that refusals do not multiply."""

import pytest

from notifications.dispatcher import Pace


class Bucket:
    """A provider that takes so many a second, and a second's worth at once."""

    def __init__(self, per_second: float) -> None:
        self.per_second = self.left = per_second
        self.at = 0.0

    def takes(self, now: float) -> bool:
        self.left = min(self.per_second, self.left + (now - self.at) * self.per_second)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


def send(count: int, pace: Pace, bucket: Bucket, now: float = 100) -> tuple[int, float]:
    """Posts needed until all are taken, one after the other, and the seconds it took from `now`."""
    begun, posts, waiting = now, 0, count
    bucket.at = now
    while waiting:
        now += pace.wait(now)
        posts += 1
        if bucket.takes(now):
            pace.taken()
            waiting -= 1
        else:
            pace.too_busy(now)
    return posts, now - begun


def test_within_the_agreed_pace_nothing_is_turned_away() -> None:
    posts, seconds = send(600, Pace(10), Bucket(11))
    assert posts == 600
    assert seconds == pytest.approx(60, abs=1.5)


@pytest.mark.parametrize("overload", [1.2, 2, 5])
def test_an_overloaded_provider_is_not_asked_again_and_again(overload: float) -> None:
    posts, seconds = send(1000, Pace(10 * overload), Bucket(10))
    assert posts / 1000 <= 1.2
    assert seconds <= 100 * 1.5


def test_a_provider_that_recovers_gets_the_agreed_pace_again() -> None:
    pace = Pace(20)
    _, slowly = send(300, pace, Bucket(5))
    _, faster = send(300, pace, Bucket(100), 100 + slowly)
    posts, seconds = send(400, pace, Bucket(100), 100 + slowly + faster)
    assert posts == 400
    assert seconds == pytest.approx(20, abs=1.5)
