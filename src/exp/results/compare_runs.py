"""Where two runs differ: status, config, code, machine, data, metrics and parameters."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from exp.config.schema import flatten, has_effect
from exp.errors import CheckpointError, DataError, as_yaml
from exp.results import summary
from exp.results.compare_metrics import compare_metrics
from exp.results.run_folder import BEST_CHECKPOINT, LAST_CHECKPOINT, SUMMARY, check_is_run, read_config

if TYPE_CHECKING:
    from torch import Tensor

    from exp.training.events import State

# Keys that differ between runs of the same command.
_IGNORED = ("resume", "name", "notes")


@dataclass(frozen=True)
class Difference:
    """A difference between two runs.

    Attributes:
        kind: status, config, code, machine, data, metrics or parameters.
        key: The config key, the fact, or the name of the parameter; None for metrics and whole checkpoints.
        a, b: The values of the two runs; None where a run has none, and for metrics and parameters.
        what: The difference for people.
    """

    kind: str
    key: str | None
    a: Any
    b: Any
    what: str


def find_differences(run: Path, other: Path) -> Iterator[tuple[str, str]]:
    """Yield the kind and the description of every difference between the runs in two folders."""
    return ((one.kind, one.what) for one in compare_runs(run, other))


def compare_runs(run: Path, other: Path) -> Iterator[Difference]:
    """Yield every difference between the runs in two folders; of metrics.csv, only the first row that differs."""
    ours, theirs = _read(run), _read(other)
    for kind in ("status", "config", "code", "machine", "data"):
        for key in sorted({*ours[kind], *theirs[kind]}):
            a, b = ours[kind].get(key), theirs[kind].get(key)
            if a != b and key not in _IGNORED:
                yield Difference(kind, key, a, b, f"{key}: {as_yaml(a)} | {as_yaml(b)}")
    configs = ours["config"], theirs["config"]
    changed = {key for key in {**configs[0], **configs[1]} if configs[0].get(key) != configs[1].get(key)}
    engines = {config.get("engine") for config in configs}
    may_round = "compiled" in engines and {key for key in changed if has_effect(key)} <= {"engine"}
    for what in compare_metrics(run, other, may_round):
        yield Difference("metrics", None, None, None, what)
    yield from _compare_parameters(run, other)


def _compare_parameters(run: Path, other: Path) -> Iterator[Difference]:
    """Yield the tensors of the last and the best checkpoints that differ, with the largest difference."""
    from exp.results import checkpoints  # Lazy: it imports torch.

    for name in (LAST_CHECKPOINT, BEST_CHECKPOINT):
        states: list[State] = []
        without = [folder for folder in (run, other) if not (folder / name).exists()]
        if without:
            if len(without) == 1:
                yield _of_parameters(f"{without[0]} has no {name}")
            continue
        for folder in (run, other):
            try:
                states.append(checkpoints.read(folder / name))
            except CheckpointError as error:
                yield _of_parameters(error.problem)
        if len(states) == 2:
            for tensor, what in _compare_states(*states):
                yield _of_parameters(f"{Path(name).name}: {what}", tensor)


def _of_parameters(what: str, tensor: str | None = None) -> Difference:
    return Difference("parameters", tensor, None, None, what)


def _compare_states(ours: "State", theirs: "State") -> Iterator[tuple[str | None, str]]:
    """Yield the name of each tensor that differs, None for all of them, and how."""
    if ours["step"] != theirs["step"]:
        yield None, f"of step {ours['step']:,} | of step {theirs['step']:,}"
        return
    from exp.engine.tensor_state import are_equal  # Lazy: see `_compare_parameters`.

    mine, others = (cast("dict[str, Tensor]", state["model"]) for state in (ours, theirs))
    if {name: tuple(t.shape) for name, t in mine.items()} != {name: tuple(t.shape) for name, t in others.items()}:
        yield None, "other names or shapes"
        return
    for name, tensor in mine.items():
        if not are_equal([tensor], [others[name]]):
            gap = float((tensor.double() - others[name].double()).abs().max())
            yield name, f"{name}: up to {gap:.3g} apart"


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    check_is_run(folder)
    facts = summary.read(folder)
    if not facts:
        raise DataError(
            f"{folder} is not a run: {SUMMARY} is missing or damaged", "the folder that a run printed at its end"
        )
    config = read_config(folder)
    machine: dict[str, Any] = dict(facts.get("environment", {}))
    return {
        "config": flatten(config),
        "code": {"commit": machine.pop("commit", None)},
        "machine": machine,
        "status": {"status": facts.get("status")},
        "data": {"sha256": facts.get("data_sha256"), **facts.get("rows", {})},
    }
