"""Objects among the arguments of `train` and `sweep`: rows and a module, as the overrides that name them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from torch import nn

from exp.cli.python_data import Targets, hold_rows, target_word
from exp.cli.python_module import hold_module
from exp.config.overrides import text_in
from exp.config.validation import config_from_saved
from exp.data.held import HeldRows
from exp.data.input_files import describe_changed_rows
from exp.data.seeding import preserved_streams
from exp.errors import ConfigError, DataError, display_path
from exp.results import summary
from exp.results.run_folder import is_run, read_config
from exp.training.rows import load_dataset


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
    if "dataset" in others and not _names_options(others["dataset"]):
        rows.append(others.pop("dataset"))
    given = {word.partition("=")[0]: word.partition("=")[2] for word in overrides} | others
    is_resumed, run = "resume" in given, _run_of(given.get("resume"))
    if isinstance(kind := others.get("model"), type):
        raise ConfigError(f"model={kind.__name__} is a class", f"model={kind.__name__}(...), an object of it")
    if isinstance(kind, list | tuple) and any(isinstance(one, nn.Module) for one in cast("Sequence[object]", kind)):
        raise ConfigError("model: a list with a module", "one module, and a sweep for each; or a list of names")
    if isinstance(others.get("model"), nn.Module):
        module = hold_module(others.pop("model"), run)
        words = module.words
        held.append(module.held)
    if rows:
        if len(rows) > 1 or "dataset" in given:
            raise ConfigError("the rows are given twice, by an object and by dataset=", "one of them")
        found = hold_rows(rows[0], target, is_resumed or "dataset.target" in given)
        if run is not None:
            _refuse_other_rows(found.held, run)
        words = [*(word for word in found.words if not (is_resumed and word.startswith("dataset="))), *words]
        held.append(found.held)
    elif target is not None:
        words = [*words, target_word(target)]
    return Arguments((*words, *overrides), others, tuple(held))


def _names_options(dataset: object) -> bool:
    """Return whether it is the name of an option, or a list of names. Rows in nested lists are no text."""
    if isinstance(dataset, list | tuple):
        names = cast("Sequence[object]", dataset)
        return bool(names) and all(isinstance(name, str) for name in names)
    return isinstance(dataset, str)


def _refuse_other_rows(held: HeldRows, run: Path) -> None:
    """Raise DataError, with both fingerprints, if the rows are not those that the run was trained on.

    Rows in other objects, or in a file, may be equal. A run without rows in files is resumed without any.
    """
    config = config_from_saved(read_config(run))
    recorded = summary.read(run).get("data_sha256")
    if config.dataset.get("path") in (None, held.path) or recorded is None:
        return
    with preserved_streams():
        found = load_dataset(replace(config, dataset={**config.dataset, "path": held.path})).fingerprint
    if found != recorded:
        how = describe_changed_rows(str(recorded), found)
        what = f"the rows differ from those that {display_path(run)} was trained on: {how}"
        raise DataError(what, "the original rows, or a new run")


def _run_of(resume: object) -> Path | None:
    """Return the folder of the run to resume; None if there is none, which is explained in its turn."""
    if resume is None:
        return None
    folder = Path(text_in(str(resume))).expanduser()
    return folder if is_run(folder) else None
