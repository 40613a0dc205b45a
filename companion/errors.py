"""What can go wrong, in the domain's words.

    CompanionError
    ├── Invalid              what was typed does not do; one problem per field
    ├── NotFound             it is not there, or it is not yours to know that it is
    ├── NotAllowed           you are known, but may not do this
    │   └── LevelTooLow      a surer sign-in would open it
    ├── Conflict             somebody else, or you in another window, was first
    ├── LinkProblem          a link or code that does not open
    │   ├── LinkUnknown
    │   ├── LinkExpired
    │   └── LinkLocked       too many wrong tries, for the link's lifetime
    └── Misconfigured        a setting is missing or wrong

None of them carries personal data in its text.
"""

from collections.abc import Mapping


class CompanionError(Exception):
    """Anything the domain refuses, with a reason a person can be told."""


class Invalid(CompanionError):
    """What was typed does not do. `problems` maps a field's name to a problem code such as `missing` or `too_long`."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"{field}: {code}" for field, code in problems.items()))
        self.problems = dict(problems)


class NotFound(CompanionError):
    """It is not there, or the person asking may not know that it is."""


class NotAllowed(CompanionError):
    """The person is known but may not do this."""


class LevelTooLow(NotAllowed):
    """A surer sign-in would open this. `required` is the level's name."""

    def __init__(self, required: str) -> None:
        super().__init__(f"needs level {required}")
        self.required = required


class Conflict(CompanionError):
    """Somebody was first. `code` says what happened, `who` may name the colleague."""

    def __init__(self, code: str, who: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.who = who


class LinkProblem(CompanionError):
    """A link or a typed code that does not open anything."""


class LinkUnknown(LinkProblem):
    """No such link or code, or the code does not belong to that number."""


class LinkExpired(LinkProblem):
    """It was right once."""


class LinkLocked(LinkProblem):
    """Too many wrong tries; it stays shut for its lifetime."""


class Misconfigured(CompanionError):
    """A setting is missing or wrong; the text says which and what to do, never its value."""
