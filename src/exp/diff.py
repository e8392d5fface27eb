"""`exp diff`: the first step at which two runs differ."""

import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from exp.cli.commands import run_command
from exp.config.schema import flatten
from exp.errors import CheckpointError, DataError, as_yaml
from exp.results import metrics_csv, summary
from exp.results.run_folder import BEST_CHECKPOINT, LAST_CHECKPOINT, SUMMARY, check_is_run, read_config

if TYPE_CHECKING:
    from torch import Tensor

    from exp.training.events import State

# Its kind (status, config, code, machine, data, metrics or parameters), and its description.
Difference: TypeAlias = tuple[str, str]


# Keys that have no influence on the numbers of a run.
_IGNORED = ("resume", "name", "notes")


def find_differences(run: Path, other: Path) -> Iterator[Difference]:
    """Yield every difference between the runs in two folders; of metrics.csv, only the first row that differs."""
    ours, theirs = _read(run), _read(other)
    for kind in ("status", "config", "code", "machine", "data"):
        for key in sorted({*ours[kind], *theirs[kind]}):
            a, b = ours[kind].get(key), theirs[kind].get(key)
            if a != b and key not in _IGNORED:
                yield kind, f"{key}: {as_yaml(a)} | {as_yaml(b)}"
    yield from _compare_metrics(run, other)
    yield from _compare_parameters(run, other)


def _compare_metrics(run: Path, other: Path) -> Iterator[Difference]:
    """Yield the first row of metrics.csv that differs. Test rows are compared last: they are at the end of a run."""
    for last in (False, True):
        pairs = (
            ((row for row in metrics_csv.read_rows(folder) if (row.split == "test") == last)) for folder in (run, other)
        )
        found = list(_compare_rows(run, other, *pairs))
        yield from found
        if found:
            return


def _compare_rows(
    run: Path, other: Path, rows: Iterator[metrics_csv.Row], others: Iterator[metrics_csv.Row]
) -> Iterator[Difference]:
    for mine, theirs in zip_longest(rows, others):
        if mine is None or theirs is None:
            longer = other if mine is None else run
            yield "metrics", f"identical until the shorter run ends; {longer} continues"
            return
        at, their_at = f"{mine.split} row at step {mine.step}", f"{theirs.split} row at step {theirs.step}"
        if at != their_at:
            yield "metrics", f"{run} has a {at} where {other} has a {their_at}"
            return
        names = {**mine.metrics, **theirs.metrics}
        pairs = ((name, mine.metrics.get(name), theirs.metrics.get(name)) for name in names)
        if changes := [f"{name} {a!r} | {b!r}" for name, a, b in pairs if a != b]:
            yield "metrics", f"first at step {mine.step}, {mine.split}: {', '.join(changes)}"
            return


def _compare_parameters(run: Path, other: Path) -> Iterator[Difference]:
    """Yield the tensors of the last and the best checkpoints that differ, with the largest difference."""
    from exp.results import checkpoints  # Lazy: it imports torch.

    for name in (LAST_CHECKPOINT, BEST_CHECKPOINT):
        states: list[State] = []
        without = [folder for folder in (run, other) if not (folder / name).exists()]
        if without:
            if len(without) == 1:
                yield "parameters", f"{without[0]} has no {name}"
            continue
        for folder in (run, other):
            try:
                states.append(checkpoints.read(folder / name))
            except CheckpointError as error:
                yield "parameters", error.problem
        if len(states) == 2:
            yield from (("parameters", f"{Path(name).name}: {what}") for what in _compare_states(*states))


def _compare_states(ours: "State", theirs: "State") -> Iterator[str]:
    if ours["step"] != theirs["step"]:
        yield f"of step {ours['step']:,} | of step {theirs['step']:,}"
        return
    mine, others = (cast("dict[str, Tensor]", state["model"]) for state in (ours, theirs))
    if {name: tuple(t.shape) for name, t in mine.items()} != {name: tuple(t.shape) for name, t in others.items()}:
        yield "other names or shapes"
        return
    for name, tensor in mine.items():
        if tensor.dtype != others[name].dtype or tensor.numpy().tobytes() != others[name].numpy().tobytes():
            gap = float((tensor.double() - others[name].double()).abs().max())
            yield f"{name}: up to {gap:.3g} apart"


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


def diff(run: str, other: str, /) -> None:
    """Print where two runs differ, from the config to the first metric and the parameters.

        python -m exp diff RUN OTHER

    Exit code 0 if every metric and every parameter is the same to the bit, 1 if not.

    Args:
        run: Folder of a run.
        other: Folder of another run.
    """
    found = list(find_differences(Path(run), Path(other)))
    for kind, what in found:
        print(f"{kind:<10} {what}")
    if {"metrics", "parameters"} & {kind for kind, _ in found}:
        sys.exit(1)
    if not list(metrics_csv.read_rows(Path(run))):
        raise DataError("neither run has metrics, so there is nothing to compare", "two runs that trained")
    print("identical: every metric and every parameter, to the bit")


if __name__ == "__main__":
    run_command(diff, sys.argv[1:])
