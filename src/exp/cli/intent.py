"""Guess what was meant by words that are not KEY=VALUE, and by the path of a table; without importing torch."""

import csv
import inspect
import shlex
from pathlib import Path

from exp.cli.command_line import CommandLine
from exp.cli.commands import COMMANDS, complete_line, load
from exp.config.compose import override_key
from exp.errors import ConfigError, ExpError

_TABLES = (".csv", ".tsv", ".parquet")
_ARRAYS = (".npz",)

# Words for what exp does without one, or by a flag.
_NO_WORD = ("train", "run", "fit")
_FLAGS = {"sweep": "-m", "help": "--help", "version": "--version"}


def bare_word(word: str, line: CommandLine) -> ConfigError | None:
    """What is wrong with a word without "=", where it is a table, one of its columns, or a command."""
    what = f"{word}: arguments must be KEY=VALUE"
    rest = [one for one in line.words if one != word]
    if word in COMMANDS:
        return ConfigError(f"{word}: a command must come first", complete_line(load(word), rest))
    if (overrides := file_overrides(word, line)) is not None:
        return ConfigError(what, shlex.join(overrides), key=word, override=overrides)
    if word in _NO_WORD:
        return ConfigError(what, shlex.join(["python", "-m", "exp", *rest]), key=word, override="")
    if word in _FLAGS:
        return ConfigError(what, shlex.join(["python", "-m", "exp", _FLAGS[word], *rest]))
    table = next((path for one in line.overrides if (path := _file_in(one)) is not None), None)
    if table is not None and word in columns_of(table):
        return ConfigError(what, f"dataset.target={word}", key=word, override=f"dataset.target={word}")
    return None


def command_key(key: str, line: CommandLine) -> ConfigError | None:
    """That `key` belongs to a command, such as run= to `exp evaluate`, with the line to type."""
    given = {override_key(word) for word in line.overrides if "=" in word}
    if "run" not in given:
        return None
    for name in COMMANDS:
        if given <= set(inspect.signature(load(name)).parameters):
            return ConfigError(f"{key}= is an argument of the command {name}", complete_line(load(name), line.words))
    return None


def file_overrides(path: str, line: CommandLine) -> tuple[str, ...] | None:
    """The overrides that train on that file: its last column is the target, if nothing else on the line says so."""
    suffix = Path(path).suffix.lower()
    if suffix in _ARRAYS:
        return "dataset=arrays", f"dataset.path={path}"
    if suffix not in _TABLES:
        return None
    columns = columns_of(path)
    if any(override_key(word) in ("dataset.target", "target") or word in columns for word in line.overrides):
        return "dataset=table", f"dataset.path={path}"
    return "dataset=table", f"dataset.path={path}", f"dataset.target={columns[-1] if columns else 'COLUMN'}"


def missing_target(problem: ExpError, line: CommandLine) -> ExpError:
    """The problem that the target column is not given, with the last column of the table as its fix."""
    path = next((path for word in line.overrides if (path := _file_in(word)) is not None), None)
    if problem.key != "dataset.target" or path is None or not (columns := columns_of(path)):
        return problem
    what, override = f"{problem.problem}; {path} has {', '.join(columns)}", f"dataset.target={columns[-1]}"
    words = [*line.words, override]
    return ConfigError(what, shlex.join(["python", "-m", "exp", *words]))


def columns_of(path: str) -> list[str]:
    """The names in the first line of a text table; none where it cannot be read."""
    suffix = Path(path).suffix.lower()
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","), list[str]())
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _file_in(word: str) -> str | None:
    """The path of a table that a word names, as `data.csv`, `dataset=data.csv` or `dataset.path=data.csv`."""
    path = word.rpartition("=")[2]
    return path if Path(path).suffix.lower() in _TABLES else None
