"""What hypothesis found, as lines to paste into a test."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_STEP = re.compile(r"^state\.(?!teardown\()\w+\(.*\)$", re.MULTILINE)
_EXAMPLE = re.compile(r"^(?:Failing test case|Falsifying example): \w+\((.*?)^\)", re.MULTILINE | re.DOTALL)


class Finds:
    """Keeps what is found as soon as it is, for a run may be cut short; and lets every test take the time it needs."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """No test is too slow; and what leaves hypothesis without words for what it finds comes last."""
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)
        items.sort(key=lambda item: hasattr(getattr(item, "module", None), "schemathesis"))

    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo[object]) -> None:
        """A test has failed."""
        if call.excinfo is not None:
            found = [to_paste(one) for one in _each(call.excinfo.value)]
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            with self._kept.open("a", encoding="utf-8") as kept:
                kept.write("\n".join([f"# {node.nodeid}", *filter(None, found), ""]))


def to_paste(error: BaseException) -> str:
    """What hypothesis tells of an example, as the lines that keep it: steps for `post_found`, or an `@example`.

    What cannot be kept so is given as it was told.
    """
    told = "\n".join(getattr(error, "__notes__", ()))
    if steps := _STEP.findall(told):
        body = "\n".join(f"    {step}" for step in steps)
        return f"@found\ndef what_was_found(state: Retold) -> None:\n{body}\n"
    examples = [f"@example({given})" for given in _EXAMPLE.findall(told) if "data(...)" not in given]
    return "\n".join(examples or [f"# {line}" for line in told.splitlines()])


def _each(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _each(one)
    else:
        yield error
