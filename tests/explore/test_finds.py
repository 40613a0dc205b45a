"""What is found can be pasted."""

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.explore.finds import to_paste


class Falls(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.height = 0

    @rule(by=st.integers(1, 9), why=st.just("to see"))
    def climbs(self, by: int, why: str) -> None:
        self.height += by

    @rule()
    def jumps(self) -> None:
        assert self.height < 3


def test_a_life_is_kept_as_its_steps() -> None:
    with pytest.raises(AssertionError) as found:
        run_state_machine_as_test(Falls, settings=hypothesis.settings(max_examples=300))
    assert to_paste(found.value) == (
        "@found\n"
        "def what_was_found(state: Retold) -> None:\n"
        "    state.climbs(by=3, why='to see')\n"
        "    state.jumps()\n"
    )


def test_an_example_is_kept_as_one() -> None:
    @hypothesis.given(number=st.integers(), word=st.just("a"))
    def always_small(number: int, word: str) -> None:
        assert number < 1000

    with pytest.raises(AssertionError) as found:
        always_small()
    assert to_paste(found.value).replace(" ", "") == "@example(\nnumber=1000,\nword='a',\n)"


def test_what_cannot_be_kept_so_is_told() -> None:
    @hypothesis.given(st.data())
    def always_small(data: st.DataObject) -> None:
        assert data.draw(st.integers()) < 1000

    with pytest.raises(AssertionError) as found:
        always_small()
    assert "# Draw 1: 1000" in to_paste(found.value).splitlines()


def test_of_a_fault_that_is_no_example_nothing_is_kept() -> None:
    assert to_paste(ValueError("no")) == ""
