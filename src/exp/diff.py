"""`exp diff`: where two runs differ, and which of them is better."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.errors import DataError, ExpError, pluralize
from exp.results import metrics_csv, summary
from exp.results.compare_metrics import ROUNDED
from exp.results.compare_runs import Difference, compare_runs
from exp.results.formatting import format_metric, table_lines

if TYPE_CHECKING:
    from exp.reports.paired import PairedComparison


@dataclass(frozen=True)
class Diff(Answer):
    """Where two runs differ, and which of them is better.

    Attributes:
        final: The final metrics of both runs, by split and name; None where a run does not have one.
        comparison: On the rows of the same split; None for equal runs, and where `unknown` says why.
    """

    run: str
    other: str
    differences: Sequence[Difference]
    final: Mapping[str, Mapping[str, tuple[Any, Any]]]
    comparison: "PairedComparison | None" = None
    unknown: str | None = None

    @property
    def is_identical(self) -> bool:
        """Whether every metric and every parameter is the same to the bit."""
        return not {"metrics", "parameters"} & {one.kind for one in self.differences}

    @property
    def exit_code(self) -> int:
        return 0 if self.is_identical else 1

    def document(self) -> Mapping[str, Any]:
        comparison = None if self.comparison is None else asdict(self.comparison)
        if comparison is not None and self.comparison is not None:
            better = comparison["better"]
            comparison["better"] = None if better is None else (self.run, self.other)[better]
            comparison["noise"] = self.comparison.is_noise
        return {
            "run": self.run,
            "other": self.other,
            "identical": self.is_identical,
            "differences": [asdict(one) for one in self.differences],
            "final": self.final,
            "comparison": comparison,
            "unknown": self.unknown,
        }

    def lines(self) -> Iterator[str]:
        for one in self.differences:
            yield f"{one.kind:<10} {one.what}"
        if self.is_identical:
            yield "identical: every metric and every parameter, to the bit"
            return
        pairs = [
            (f"{split} {name}", name, pair) for split, values in self.final.items() for name, pair in values.items()
        ]
        if pairs:
            cells = ([label, *(format_metric(name, value) or "-" for value in pair)] for label, name, pair in pairs)
            yield from ("", *table_lines([["final", self.run, self.other], *cells]))
        if self.comparison is not None:
            yield f"better     {describe_comparison(self.comparison, (self.run, self.other))}"
        elif self.unknown is not None:
            yield f"better     not known: {self.unknown}"


def describe_comparison(found: "PairedComparison", names: tuple[str, str]) -> str:
    """Return one sentence for people: which is better, by how much, and whether that is noise."""
    first, second = (format_metric(found.measure, value) for value in found.values)
    where = f"{found.measure} of {pluralize(found.rows, f'{found.split} row')}"
    if found.better is None:
        return f"neither: {where}: {first} both"
    better, worse = (first, second) if found.better == 0 else (second, first)
    sentence = f"{names[found.better]}, by the {where}: {better} against {worse}"
    if found.interval is None or found.p is None:
        return f"{sentence}; the rows do not say whether that is noise: they all differ alike"
    scale, unit = (100, " points") if "accuracy" in found.measure else (1, "")
    scale *= 1 if found.values[1] > found.values[0] else -1
    low, high = sorted(scale * end for end in found.interval)
    gap = f"{scale * (found.values[1] - found.values[0]):.3g}{unit} (95 % interval {low:.3g} to {high:.3g})"
    verdict = "may be noise" if found.is_noise else "is more than noise"
    return f"{sentence}; the difference of {gap} {verdict} (paired t-test over the rows, p = {found.p:.2g})"


def _compare(run: Path, other: Path) -> "tuple[PairedComparison | None, str | None]":
    """Return the comparison on the same rows, or why there is none."""
    from exp.reports.paired import compare_models  # Lazy: it imports torch.

    try:
        return compare_models(run, other), None
    except ExpError as error:
        return None, error.problem


def _final_metrics(run: Path, other: Path) -> dict[str, dict[str, tuple[Any, Any]]]:
    ours, theirs = (cast("dict[str, dict[str, Any]]", summary.read(folder).get("final", {})) for folder in (run, other))
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    for split in (name for name in ("train", "val", "test") if name in ours or name in theirs):
        one, two = ours.get(split, {}), theirs.get(split, {})
        found[split] = {name: (one.get(name), two.get(name)) for name in {**one, **two}}
    return found


def diff(run: str, other: str, /) -> Diff:
    """Print where two runs differ, and which is better.

        python -m exp diff RUN OTHER

    The final metrics of both follow, and which run is better on the test rows, if both have the same ones (else on the
    validation rows): by how much, and whether a paired t-test over the rows tells it from noise. It compares these two
    models; a sweep with seed=0,1,2 says whether another seed would agree.

    Exit code 0 if every metric and every parameter is the same to the bit, 1 if not.

    Args:
        run: Folder of a run.
        other: Folder of another run.
    """
    first, second = Path(run), Path(other)
    found = list(compare_runs(first, second))
    final = _final_metrics(first, second)
    if not {"metrics", "parameters"} & {one.kind for one in found}:
        if not list(metrics_csv.read_rows(first)):
            raise DataError("neither run has metrics, so there is nothing to compare", "two runs that trained")
        return Diff(run, other, found, final)
    if any(one.what.startswith(ROUNDED) for one in found):
        return Diff(run, other, found, final)
    return Diff(run, other, found, final, *_compare(first, second))


if __name__ == "__main__":
    run_command(diff, sys.argv[1:])
