"""The words after our smaller commands: KEY=VALUE, and nothing else."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from exp.errors import ConfigError, ExpError, nearest


def parse_key_values(typed: Sequence[str], known: Sequence[str], needed: Sequence[str], example: str) -> dict[str, str]:
    """The value of each key that was typed. ConfigError for one that is not known, or there twice, or missing."""
    found: dict[str, str] = {}
    for word in typed:
        key, equals, value = word.partition("=")
        if key not in known or not equals or not value:
            near = nearest(key, list(known))
            cure = f"{near}={value or 'VALUE'}" if near else example
            raise ConfigError(f"{word}: it takes {', '.join(f'{name}=' for name in known)}", cure)
        if key in found:
            raise ConfigError(f"{key}={found[key]} {word}: it takes one", word)
        found[key] = value
    for key in needed:
        if key not in found:
            raise ConfigError(f"{key}= is missing", example)
    return found


def new_file(out: str) -> Path:
    """Where `out` says. ConfigError if something is there, or no folder for it."""
    path = Path(out)
    if not path.parent.is_dir():
        raise ConfigError(f"out={out}: there is no folder {path.parent}", f"mkdir -p {path.parent}")
    if path.exists():
        raise ConfigError(f"out={out}: the file is there already", "out=ANOTHER_FILE")
    return path


def run_command(name: str, doc: str | None, known: Mapping[str, bool], example: str, do: Callable[..., None]) -> None:
    """Do what the command line asks of the command `name`: `known` tells of each key whether it must be there.

    Exit code 1, and one clear message, after a mistake.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(doc)
        return
    try:
        do(**parse_key_values(sys.argv[1:], list(known), [key for key, needed in known.items() if needed], example))
    except ExpError as error:
        sys.exit(f"exp.{name}: {error}")
