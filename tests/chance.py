"""How random tests draw: in the gate the same every time, in `make explore` from a seed, and longer."""

import os

import hypothesis

GATE, EXPLORE = "gate", "explore"
USUAL = 100
# How long one example takes says nothing on a machine shared with browsers.
_ALWAYS = hypothesis.settings(deadline=None, database=None, print_blob=True)
hypothesis.settings.register_profile(GATE, _ALWAYS, derandomize=True, max_examples=USUAL)
hypothesis.settings.register_profile(EXPLORE, _ALWAYS, max_examples=int(os.environ.get("EXAMPLES") or 3000))


def examples(in_the_gate: int) -> int:
    """How many examples a test draws that says so itself: as many more when exploring as all the others do."""
    return in_the_gate * hypothesis.settings().max_examples // USUAL
