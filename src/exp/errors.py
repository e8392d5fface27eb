"""Errors that a user can fix, and how values are written in them.

ExpError
├── ConfigError      a choice or a value is wrong
├── DataError        the rows cannot be trained on
├── CheckpointError  a checkpoint cannot be written or read
└── Diverged         the loss became NaN or infinite
"""

import json
import re
import shutil
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

# Names that a message lists.
MAX_NAMES = 5


def as_yaml(value: object) -> str:
    """Return a value as it is typed: null, true, [1,2], abc."""
    if isinstance(value, list):
        return f"[{','.join(as_yaml(item) for item in cast('list[object]', value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def quote_words(words: Iterable[str]) -> list[str]:
    """Return the words, all in quotes if one of them has a mark that would hide where it ends."""
    listed = list(words)
    if any(re.search(r'^$|^\s|\s$|[,;"\n\r\t]', word) for word in listed):
        listed = [json.dumps(word, ensure_ascii=False) for word in listed]
    return listed


def join_words(words: Iterable[str]) -> str:
    """Return words with commas between them, in quotes as `quote_words` says."""
    return ", ".join(quote_words(words))


def shorten(names: Sequence[str], total: int | None = None, limit: int = MAX_NAMES) -> str:
    """Join the first `limit` names with commas, and say how many more there are: of `total`, by default all `names`."""
    more = (len(names) if total is None else total) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")


def pluralize(count: int, what: str) -> str:
    """1 row, 2,000 rows, 2 categories."""
    plural = what.removesuffix("y") + "ies" if what.endswith("y") else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"


def format_bytes(count: int) -> str:
    """1.2 GiB, 34.5 MB, 0.8 kB."""
    if count >= 2**30 / 10:
        return f"{count / 2**30:,.1f} GiB"
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def first_line(error: BaseException, limit: int = 120) -> str:
    """Return the first characters of an error's message, or its type if it has none."""
    line = str(error).partition("\n")[0].strip() or type(error).__name__
    return line if len(line) <= limit else f"{line[:limit].rstrip()}..."


def display_path(folder: Path) -> Path:
    """Return the folder relative to the current one, if it is inside."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


class ExpError(Exception):
    """A problem that the user can fix.

    Attributes:
        problem: What is wrong, in one sentence.
        fix: What to type or do instead.
        key: The config key at fault ("optimizer.lr"), if there is one.
        override: The override that replaces the faulty one ("optimizer.lr=0.02"), or several; "" removes it. None if
            they are not known.
    """

    def __init__(
        self, problem: str, fix: str, *, key: str | None = None, override: str | tuple[str, ...] | None = None
    ) -> None:
        super().__init__(problem, fix)
        self.problem = problem
        self.fix = fix
        self.key = key
        self.override = override

    def __str__(self) -> str:
        return f"{self.problem}\n  try: {self.fix}"


class ConfigError(ExpError):
    """A choice or a value is wrong."""


class DataError(ExpError):
    """The rows cannot be trained on."""


class CheckpointError(ExpError):
    """A checkpoint cannot be written or read."""


class Diverged(ExpError):  # noqa: N818  # an outcome, not a wrong command
    """The loss became NaN or infinite.

    Attributes:
        step: The step that has this loss, or after which the validation rows have it.
    """

    def __init__(
        self,
        problem: str,
        fix: str,
        *,
        step: int,
        key: str | None = None,
        override: str | tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(problem, fix, key=key, override=override)
        self.step = step


class Pruned(Exception):  # noqa: N818  # not an error
    """A search ended this run early."""


# Extras that need other versions than the tested ones: trackio needs pillow<13.
_UNPINNED = ("trackio",)


def install_command(extra: str) -> str:
    """Return the pip command that installs `extra` into this environment, from a checkout or as a package."""
    python = Path(sys.executable)
    found = shutil.which("pip")
    pip = "pip" if found and Path(found).parent == python.parent else f"{display_path(python)} -m pip"
    checkout = Path(__file__).parents[2]
    if not (checkout / "constraints.txt").is_file():
        return f"{pip} install 'exp[{extra}]'"
    here = display_path(checkout)
    if extra in _UNPINNED:
        return f"{pip} install -e '{here}[{extra}]'"
    return f"{pip} install -c {here / 'constraints.txt'} -e '{here}[{extra}]'"


@contextmanager
def require_extra(package: str, what: str, extra: str) -> Generator[None]:
    """Raise ConfigError, with the pip command, if an import inside the context fails because `package` is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ConfigError(f"{what}: it needs {package}, which is not installed", install_command(extra)) from error
