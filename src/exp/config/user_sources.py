"""The source files of the user's own code that a run consists of: their hashes, and whether they changed since."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from exp.config import allowlist
from exp.config.signatures import source_file
from exp.errors import display_path

if TYPE_CHECKING:
    from exp.config.schema import Config


def hash_sources(config: "Config") -> dict[str, str]:
    """Return a hash of the source file of each of the user's modules, by its name, that the run in training uses.

    These are the modules of the model, of what trains it and of its metrics, and those of the user's that they import.
    The code of a dataset is not among them: its rows have a fingerprint.
    """
    nodes = (config.model, config.loss, config.optimizer, config.scheduler)
    targets = [str(node.get("_target_")) for node in nodes] + [config.metric, *config.metrics]
    queue, found = [name.rpartition(".")[0] for name in targets], dict[str, str]()
    while queue:
        name = queue.pop()
        if name in found or not allowlist.is_inside(f"{name}.") or (digest := _hash(name)) is None:
            continue
        found[name] = digest
        if (module := sys.modules.get(name)) is not None:
            queue.extend(_modules_in(module))
    return dict(sorted(found.items()))


def describe_changed_sources(summary: Mapping[str, Any]) -> list[str]:
    """Return a note for each file of the user's code that is not as it was for the run with that summary.json."""
    recorded = summary.get("own_code")
    notes: list[str] = []
    for name, digest in cast("dict[object, object]", recorded).items() if isinstance(recorded, dict) else ():
        if isinstance(name, str) and allowlist.is_inside(f"{name}.") and (now := _hash(name)) != digest:
            what = f"the module {name} is gone" if now is None else f"{display_path(_path(name))} has changed"
            notes.append(f"{what} since the run was trained with it: results may differ")
    return notes


def _modules_in(module: ModuleType) -> Iterator[str]:
    """Yield the modules that the classes and functions in a module are from, and those that it imports."""
    for value in vars(module).values():
        if isinstance(value, ModuleType):
            yield value.__name__
        elif isinstance(value, type | FunctionType):
            yield str(value.__module__)


def _path(name: str) -> Path:
    path = source_file(name)
    assert path is not None
    return path.absolute()


def _hash(name: str) -> str | None:
    """Return the first 16 digits of a hash of the module's file; None if it has no source."""
    path = source_file(name)
    try:
        return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return None
