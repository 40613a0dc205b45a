"""What is said of a list: which line, which column, and a code with its values; `going_home.list_words` has the sentences."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

FILE = "file"


@dataclass(frozen=True)
class Said:
    """What is wrong with, or was done to, one column of one line; `field` is `file` when it is all of it."""

    line: int
    field: str
    code: str
    values: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Unreadable(Exception):
    """The file itself is wrong; no row of it can be trusted."""

    def __init__(self, *problems: Said) -> None:
        super().__init__(problems[0].code)
        self.problems = list(problems)


def file_is(code: str, line: int = 1, **values: str) -> Unreadable:
    """The whole file is something, seen at a line."""
    return Unreadable(Said(line, FILE, code, values))
