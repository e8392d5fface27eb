"""What a user can cause, and how it is said: key, bad value, what is allowed, and what to type.

ExpError
├── ConfigError      a choice or a knob is wrong
├── DataError        the rows cannot be trained on
├── CheckpointError  a checkpoint cannot be written or read
└── Diverged         the loss became NaN or infinite
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast


def shown(value: object) -> str:
    """A value as one would type it: null, true, [1,2], abc."""
    if isinstance(value, list):
        return f"[{','.join(shown(item) for item in cast('list[object]', value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def many(count: int, what: str) -> str:
    """1 row, 2,000 rows, 2 categories."""
    plural = what.removesuffix("y") + "ies" if what.endswith("y") else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"


def as_typed(folder: Path) -> Path:
    """The folder as a person standing here would type it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


class ExpError(Exception):
    """A mistake that a user can mend: `problem` in one sentence, `cure` what to type or do."""

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(problem, cure)
        self.problem = problem
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.problem}\n  try: {self.cure}"


class ConfigError(ExpError):
    pass


class DataError(ExpError):
    pass


class CheckpointError(ExpError):
    pass


class Diverged(ExpError):  # noqa: N818  # what happened, not an error in what was asked
    pass


class Pruned(Exception):  # noqa: N818  # of no mistake
    """A search has no hope for this run, and needs no more of it."""


@contextmanager
def needing(package: str, what: str, extra: str) -> Generator[None]:
    """ConfigError if what is imported inside is a package that only some need, and is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        cure = f"pip install -c constraints.txt -e '.[{extra}]'"
        raise ConfigError(f"{what}: it needs {package}, which is not installed", cure) from error
