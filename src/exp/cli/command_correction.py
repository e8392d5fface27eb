"""The line that was meant by wrong arguments of a command, such as `exp evaluate resume=RUN`. Imports no torch."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from typing import TypeAlias

from exp.cli.answer import Answer
from exp.config.nearest_names import nearest
from exp.config.overrides import shell_line
from exp.data.input_files import DATA_PATHS
from exp.results.run_folder import LAST_CHECKPOINT, MULTIRUN, is_sweep

_Parameters: TypeAlias = Mapping[str, Parameter]

# Names for the argument that is the folder of a run.
_FOLDERS = ("run", "resume", "sweep", "folder", "path", "dir", "model", "other", "folders")

# The first argument of a command on one run. Its value may be written without the key.
RUN_KEYS = ("run", "resume")

# What a word alone can be the value of.
WORDS_OF = {
    "split": ("train", "val", "test"),
    "checkpoint": ("last", "best", "auto"),
    "format": ("script", "pt2", "onnx"),
}
# Arguments that are written with dashes: those of FLAGS without a value, those of VALUE_FLAGS with one.
FLAGS = ("--json", "--jobs", "--remove", "--yes")
VALUE_FLAGS = {"--sort": "METRIC"}

# Arguments that take several words, or none.
ANY_NUMBER = ("filters", "tags")

# Words with one of these are filters, where a command takes some.
FILTER_SIGNS = ("=", "<", ">")

_WITHOUT_KEY = (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)
_TABLES = (".csv", ".tsv", ".txt", ".parquet")


def correct_line(command: Callable[..., Answer | None], arguments: Sequence[str]) -> str:
    """Return the whole command line that `arguments` mean, with an example of each required one that is missing.

    Every folder and file that was typed is kept, under the key that takes it. What no key takes is left out.
    """
    parameters = parameters_of(command)
    given: dict[str, str] = {}
    more: list[str] = []  # further values of an argument that takes several
    if "filters" in parameters:
        more = [word for word in arguments if is_filter(word)]
        arguments = [word for word in arguments if word not in more]
    pairs = list(_pairs(arguments, parameters))
    for key, value in sorted(pairs, key=lambda pair: not pair[0]):  # the words without a key last
        free = {name: parameter for name, parameter in parameters.items() if name not in given}
        meant = _key_like(key, free) if key else _key_of_word(value, free)
        if meant is not None and value:
            given[meant] = value
        elif not key and "filters" not in parameters and _takes_several(parameters):
            more.append(value)
    examples = dict(zip(_required(parameters), example_words(command), strict=True))
    line: list[str] = []
    for key, parameter in parameters.items():
        if key in given or key in examples:
            value = given.get(key) or _example_of(key, examples[key].rpartition("=")[2], given)
            is_flag = f"--{key}" in VALUE_FLAGS
            line += [f"--{key}", value] if is_flag else [value if parameter.kind in _WITHOUT_KEY else f"{key}={value}"]
        if parameter.kind is Parameter.VAR_POSITIONAL:
            line += more
        if f"--{key}" in FLAGS and (f"--{key}" in arguments or line[-1:] == [f"{key}=true"]):
            line = [word for word in line if word != f"{key}=true"] + [f"--{key}"]
    return shell_line([command.__name__, *line])


def parameters_of(command: Callable[..., Answer | None]) -> dict[str, Parameter]:
    """Return the parameters of a command by their keys. `**moved` stands for the paths of the run's data files.

    A command that returns an `Answer` also has --json.
    """
    signature = inspect.signature(command)
    parameters = dict(signature.parameters)
    if isinstance(signature.return_annotation, type) and issubclass(signature.return_annotation, Answer):
        parameters["json"] = Parameter("json", Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    moved = parameters.get("moved")
    found = {key: parameter for key, parameter in parameters.items() if parameter is not moved}
    keys = DATA_PATHS if moved is not None else ()
    return found | {key: moved.replace(kind=Parameter.KEYWORD_ONLY, default=None) for key in keys if moved is not None}


def is_filter(word: str) -> bool:
    """Return whether a word is KEY=VALUE, KEY<VALUE or the like, and not the name of a folder."""
    return not word.startswith("-") and any(sign in word for sign in FILTER_SIGNS) and not Path(word).exists()


def _latest_with(file: str) -> Path | None:
    """Return the newest folder below outputs/ that has this file, such as checkpoints/last.pt."""
    found = (path.parents[file.count("/")] for path in Path("outputs").glob(f"**/{file}"))
    return max(found, key=lambda folder: folder.stat().st_mtime, default=None)


def _pairs(arguments: Sequence[str], keys: _Parameters) -> Iterator[tuple[str, str]]:
    """Yield the key and the value of each argument, in whatever way they are joined; a word alone has the key ""."""
    words = [word for word in re.sub("\0?=\0?", "=", "\0".join(arguments)).split("\0") if word.strip("=-")]
    place = 0
    while place < len(words):
        key, equals, value = words[place].partition("=")
        name, behind = key.lstrip("-"), words[place + 1] if place + 1 < len(words) else ""
        if equals:
            yield name, value
        elif (name in keys or key != name) and behind and "=" not in behind and not behind.startswith("-"):
            yield name, behind
            place += 1
        elif key == name:
            yield "", key
        place += 1


def _key_like(typed: str, free: _Parameters) -> str | None:
    if typed in free:
        return typed
    if typed in _FOLDERS:
        return next((key for key in free if key in _FOLDERS or key == f"dataset.{typed}"), None)
    return nearest(typed, free)


def _key_of_word(word: str, free: _Parameters) -> str | None:
    """Return the argument that a word alone is the value of: by its spelling, or the first that is required."""
    suffix, required = Path(word).suffix.lower(), _required(free)
    for key in free:
        is_table = key in ("data", "out") and suffix in _TABLES
        is_out = key == "out" and suffix and "data" not in free
        if word in WORDS_OF.get(key, ()) or is_table or is_out or (free[key].annotation is int and word.isdecimal()):
            return key
    folder = next((key for key in required if key in _FOLDERS), None)
    bare = [key for key in free if free[key].kind is Parameter.POSITIONAL_ONLY]
    return folder or next(iter([*required, *bare]), None)


def _takes_several(parameters: _Parameters) -> bool:
    return any(one.kind is Parameter.VAR_POSITIONAL for one in parameters.values())


def _required(parameters: _Parameters) -> list[str]:
    """Return the arguments without a default. There may be no filter."""
    return [key for key, one in parameters.items() if one.default is Parameter.empty and key not in ANY_NUMBER]


def example_words(command: Callable[..., Answer | None]) -> list[str]:
    """Return the arguments of the docstring's example: each required one."""
    found = re.search(r"^ *python -m exp \w+ ?(.*)$", inspect.getdoc(command) or "", re.MULTILINE)
    assert found is not None, command
    return found[1].split()


def _example_of(key: str, example: str, given: Mapping[str, str]) -> str:
    """Return a value of an argument that is missing: the latest run, or a file that does not exist yet."""
    suffixes = {".py": "script", ".pt2": "pt2", ".onnx": "onnx"}
    if example in ("FOLDER", "RUN"):
        latest = _latest_with(LAST_CHECKPOINT)
        is_job = latest is not None and key == "folders" and is_sweep(latest.parent)
        return example if latest is None else str(latest.parent if is_job else latest)
    if example == "SWEEP":
        return str(_latest_with(MULTIRUN) or example)
    if key == "format":
        return suffixes.get(Path(given.get("out", "")).suffix, example)
    if key == "out":
        suffix = next((one for one, kind in suffixes.items() if kind == given.get("format")), Path(example).suffix)
        names = [f"{Path(example).stem}{number}{suffix}" for number in ("", *range(2, 100))]
        return next((name for name in names if not Path(name).exists()), example)
    return example
