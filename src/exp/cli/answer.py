"""What a command found: one value, of which the text for people and the JSON object for programs are views."""

import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exp.errors import ExpError
from exp.results.summary import finite

# The format of every object. It changes when a name or a meaning does.
FORMAT = 1


class Answer(ABC):
    """The result of a command whose function returns it."""

    @property
    def exit_code(self) -> int:
        """The exit code of the process."""
        return 0

    @abstractmethod
    def lines(self) -> Iterable[str]:
        """Return what people read."""

    @abstractmethod
    def document(self) -> Mapping[str, Any]:
        """Return the fields of the object, without those that every object has."""


@dataclass(frozen=True)
class TextAnswer(Answer):
    """The answer of a command whose text is written line by line: `text` for people, `fields` for programs."""

    fields: Mapping[str, Any]
    text: Sequence[str]
    code: int = 0

    @property
    def exit_code(self) -> int:
        return self.code

    def document(self) -> Mapping[str, Any]:
        return self.fields

    def lines(self) -> Sequence[str]:
        return self.text


def as_json(command: str, fields: Mapping[str, Any], exit_code: int) -> str:
    """Return the object of a command. NaN and infinity, which JSON does not have, are strings."""
    document = {"format": FORMAT, "command": command, **fields, "exit_code": exit_code}
    return json.dumps(_finite(document), indent=2, default=str)


def error_fields(error: ExpError) -> dict[str, Any]:
    """Return the fields of the object of an error."""
    return {"error": error.problem, "fix": keep_json(error.fix), "key": error.key}


def keep_json(fix: str) -> str:
    """Return what to type instead, with --json if it is a whole command line and nothing else."""
    lines = fix.split(" && ")
    if not lines[-1].startswith("python -m exp ") or "--json" in fix.split() or _has_prose(fix):
        return fix
    return " && ".join(f"{line} --json" if line.startswith("python -m exp ") else line for line in lines)


def _has_prose(fix: str) -> bool:
    """Return whether words of a sentence are around the command: a comma or a backquote is in no word of a command."""
    try:
        words = shlex.split(fix)
    except ValueError:
        return True
    return any(word.endswith(",") or "`" in word for word in words)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    return finite(value)
