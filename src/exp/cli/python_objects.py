"""Objects among the arguments of `train` and `sweep`: rows and a module, as the overrides that name them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from exp.cli.python_data import Targets, hold_rows, target_word
from exp.cli.python_module import hold_module
from exp.config.overrides import reads_as
from exp.errors import ConfigError
from exp.results.run_folder import is_run


class Arguments(NamedTuple):
    """Arguments of `train` or `sweep` with overrides in place of objects, and what is kept for these."""

    overrides: tuple[str, ...]
    values: dict[str, Any]
    held: tuple[object, ...]


def split_objects(arguments: Sequence[Any], values: Mapping[str, Any]) -> Arguments:
    """Return the arguments with overrides in place of the objects among them.

    Raises:
        ConfigError, DataError: An object is neither rows nor a module, or objects and overrides contradict each other.
    """
    overrides, others = tuple(arguments), dict(values)
    words, held, rows = list[str](), list[object](), list[Any]()
    target: Targets | None = others.pop("target", None)
    if arguments and not isinstance(arguments[0], str):
        rows, overrides = [arguments[0]], overrides[1:]
    if "dataset" in others and not isinstance(others["dataset"], str):
        rows.append(others.pop("dataset"))
    given = {word.partition("=")[0]: word.partition("=")[2] for word in overrides} | others
    is_resumed = "resume" in given
    if isinstance(kind := others.get("model"), type):
        raise ConfigError(f"model={kind.__name__} is a class", f"model={kind.__name__}(...), an object of it")
    if isinstance(others.get("model"), nn.Module):
        module = hold_module(others.pop("model"), _run_of(given.get("resume")))
        words = module.words
        held.append(module.held)
    if rows:
        if len(rows) > 1 or "dataset" in given:
            raise ConfigError("the rows are given twice, by an object and by dataset=", "one of them")
        found = hold_rows(rows[0], target, is_resumed)
        words = [*(word for word in found.words if not (is_resumed and word.startswith("dataset="))), *words]
        held.append(found.held)
    elif target is not None:
        words = [*words, target_word(target)]
    return Arguments((*words, *overrides), others, tuple(held))


def _run_of(resume: object) -> Path | None:
    """Return the folder of the run to resume; None if there is none, which is explained in its turn."""
    if resume is None:
        return None
    text = reads_as(str(resume))
    folder = Path(text if isinstance(text, str) else str(resume)).expanduser()
    return folder if is_run(folder) else None
