"""Guess what was meant by words that are not KEY=VALUE, and by the path of a table; without importing torch."""

import inspect
import shlex
from pathlib import Path
from typing import cast

from exp.cli.command_correction import WORDS_OF, correct_line
from exp.cli.command_line import CommandLine
from exp.cli.commands import COMMANDS, load
from exp.config.constraints import CONSTRAINTS, example, suggest_override
from exp.config.nearest_names import nearest
from exp.config.overrides import override_key, quote_names, reads_as, shell_line, text_override
from exp.config.schema import default_option
from exp.data.input_files import TABLES, columns_of, find_columns
from exp.errors import ConfigError, ExpError
from exp.results.resume_line import resume_sweep_command
from exp.results.run_folder import SWEEP_MANIFEST, is_run

_ARRAYS = (".npz",)

# Words that exp does not need, and words that are flags.
_NO_WORD = ("train", "run", "fit", "resume")
_FLAGS = {"sweep": "-m", "help": "--help", "version": "--version"}

# Words for commands, where the spelling differs too much.
_COMMAND_WORDS = {
    **dict.fromkeys(("test", "score"), "evaluate"),
    **dict.fromkeys(("rename", "move"), "mv"),
    **dict.fromkeys(("delete", "remove"), "rm"),
    "compare": "diff",
    "infer": "predict",
    "plot": "report",
    "list": "ls",
    "show": "status",
}

# Keys that would name the columns to use, and keys that name one for another use.
_USED_COLUMNS = tuple(
    f"dataset.{word}" for word in ("columns", "features", "inputs", "include", "keep", "use", "usecols")
)
_COLUMN_KEYS = ("dataset.target", "dataset.group", "dataset.weight", "dataset.split_column", "dataset.order")


def bare_word(word: str, line: CommandLine) -> ConfigError | None:
    """Return the error for a word without "=" that is a folder, a file, a column, a command or a key."""
    what = f"{word}: arguments must be KEY=VALUE"
    rest = [one for one in line.words if one != word]
    if word in COMMANDS:
        return ConfigError(f"{word}: a command must come first", correct_line(load(word), rest))
    if (problem := _folder_or_checkpoint(word, rest)) is not None:
        return problem
    if (overrides := file_overrides(word, line)) is not None:
        return ConfigError(what, shlex.join(overrides), key=word, override=overrides)
    if (problem := _other_file(word, rest)) is not None:
        return problem
    if word == "resume" and "resume" not in map(override_key, rest):  # without it, the line would be a new run
        return ConfigError(what, shell_line(["resume=FOLDER", *rest]), key=word)
    if word in _NO_WORD:
        return ConfigError(what, shell_line(rest), key=word, override="")
    if word in _FLAGS:
        return ConfigError(what, shell_line([_FLAGS[word], *rest]))
    table = next((path for one in line.overrides if (path := _file_in(one)) is not None), None)
    if table is not None and word in columns_of(table):
        override = text_override("dataset.target", word)
        return ConfigError(what, shlex.quote(override), key=word, override=override)
    if word in line.keys or word in line.groups:
        return _key_without_value(word, line)
    command = _COMMAND_WORDS.get(word.lower()) or nearest(word, [*COMMANDS, *_NO_WORD])
    if command in _NO_WORD and line.overrides[:1] == (word,):  # trian
        return ConfigError(f"{word}: unknown command", shell_line(rest), key=word, override="")
    if command is not None and line.overrides[:1] == (word,):
        return ConfigError(f"{word}: unknown command", correct_line(load(command), rest))
    return None


def _folder_or_checkpoint(word: str, rest: list[str]) -> ConfigError | None:
    """Return the error for a word that is the folder of a run or a sweep, or a checkpoint."""
    path, what = Path(word).expanduser(), f"{word}: arguments must be KEY=VALUE"
    keyed = [one for one in rest if one != "resume"]
    if path.suffix == ".pt" and is_run(path.parents[1]):
        words = ["evaluate", f"run={path.parents[1]}", *(["checkpoint=best"] if path.stem == "best" else [])]
        return ConfigError(f"{word} is a checkpoint of a run", shell_line(words))
    if is_run(path):
        return ConfigError(what, shell_line([text_override("resume", word), *keyed]))
    if (path / SWEEP_MANIFEST).is_file():
        return ConfigError(what, resume_sweep_command(Path(word), *keyed))
    return None


def _other_file(word: str, rest: list[str]) -> ConfigError | None:
    """Return the error for a folder, and for a file that is neither a table nor YAML."""
    path = Path(word).expanduser()
    if path.is_dir():
        below = sorted(one for one in path.iterdir() if one.suffix in (".yaml", ".yml"))
        words = [str(below[0]), *rest] if below else ["--config-dir", word, *rest]
        return ConfigError(f"{word}: it is a folder; an experiment is a YAML file", shell_line(words))
    if not path.is_file():
        return None
    if path.suffix == ".json":  # which is YAML too
        copy = path.with_suffix(".yaml")
        what = f"{word}: an experiment is a file that ends with .yaml"
        return ConfigError(what, f"{shlex.join(['cp', word, str(copy)])} && {shell_line([str(copy), *rest])}")
    return ConfigError(f"{word}: an experiment is a YAML file", f"{shell_line(['FILE.yaml', *rest])}")


def _key_without_value(word: str, line: CommandLine) -> ConfigError:
    if word in line.groups:
        options = list(line.groups[word])
        what = f"{word}: arguments must be KEY=VALUE, and {word} is one of {', '.join(options)}"
        default = default_option(word) or options[0]
        return ConfigError(what, f"{word}={default}", key=word, override=f"{word}={default}")
    override = suggest_override(word) if word in CONSTRAINTS else None
    return ConfigError(f"{word}: arguments must be KEY=VALUE", override or example(word), key=word, override=override)


def _keys_of(command: str) -> set[str]:
    """Return the arguments of a command that are written as KEY=VALUE."""
    parameters = inspect.signature(load(command)).parameters.values()
    return {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}


def command_key(key: str, value: str, line: CommandLine) -> ConfigError | None:
    """Return the error for a key of a command, such as run= of `exp evaluate`; None if `key` is none."""
    given = {override_key(word) for word in line.overrides if "=" in word}
    if key in COMMANDS:
        return ConfigError(f"{key} is a command, not a key", correct_line(load(key), []))
    if "run" not in given and value not in WORDS_OF.get(key, ()):
        return None
    names = [name for name in COMMANDS if given <= _keys_of(name)]
    if not names:
        return None
    names.sort(key=lambda name: name != "evaluate")
    owners = f"commands {', '.join(names)}" if given == {"run"} else f"command {names[0]}"
    return ConfigError(f"{key}= is an argument of the {owners}", correct_line(load(names[0]), line.words))


def file_overrides(path: str, line: CommandLine) -> tuple[str, ...] | None:
    """Return the overrides that train on that file. Its last column is the target if the line does not name one."""
    suffix, file = Path(path).suffix.lower(), text_override("dataset.path", path)
    if suffix in _ARRAYS:
        return "dataset=arrays", file
    if suffix not in TABLES:
        return None
    columns, options = find_columns(path)
    if any(override_key(word) in ("dataset.target", "target") or word in columns for word in line.overrides):
        return "dataset=table", file, *options
    return "dataset=table", file, *options, text_override("dataset.target", columns[-1] if columns else "COLUMN")


def missing_target(problem: ExpError, line: CommandLine) -> ExpError:
    """Return the error that the target column is not given, with the last column of the table as its fix."""
    path = next((path for word in line.overrides if (path := _file_in(word)) is not None), None)
    if problem.key != "dataset.target" or line.override_of("dataset.target") is not None or path is None:
        return problem
    columns, options = find_columns(path)
    if not columns:
        return problem
    what, target = f"{problem.problem}; {path} has {', '.join(columns)}", text_override("dataset.target", columns[-1])
    override = (*options, target) if options else target
    return ConfigError(what, shell_line([*line.words, *options, target]), key=problem.key, override=override)


def other_columns(key: str, typed: str, line: CommandLine) -> ConfigError | None:
    """Return the error for dataset.columns= and the like, which name the columns to use; None for other keys."""
    if key not in _USED_COLUMNS or "dataset.drop" not in line.keys:
        return None
    what = f"{typed}: unknown key '{key}'; every column is used, except for those in dataset.drop"
    path = next((path for word in line.overrides if (path := _file_in(word)) is not None), None)
    used = {line.text_of(one) for one in _COLUMN_KEYS}
    listed = reads_as(typed.partition("=")[2])
    if isinstance(listed, dict):
        override = f"dataset.kinds={typed.partition('=')[2]}"
        return ConfigError(what, shlex.quote(override), key=key, override=override)
    names = {str(name) for name in (cast("list[object]", listed) if isinstance(listed, list) else [listed])}
    known = columns_of(path) if path is not None else []
    rest = [name for name in known if name not in names | used]
    if not rest or not names <= {*known}:
        return ConfigError(what, "dataset.drop=[COLUMN]", key=key)
    override = f"dataset.drop={quote_names(rest)}"
    return ConfigError(what, shlex.quote(override), key=key, override=override)


def _file_in(word: str) -> str | None:
    """Return the path of a table that a word names, as `data.csv`, `dataset=data.csv` or `dataset.path=data.csv`."""
    path = word.rpartition("=")[2]
    return path if Path(path).suffix.lower() in TABLES else None
