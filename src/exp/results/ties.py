"""Which choices of a sweep the data cannot tell from the best one.

Each choice is compared with the observed best by the paired t-test of exp.results.t_tests, over the repeats in which
both finished. For k choices, it is worse than the best if its two-sided p-value is below

    min(0.05, 2 * 0.05 / (k - 1))

and it is behind over these repeats, and tied otherwise. (Where each lost another repeat, the best by its mean may be
behind in those of both.) If the assumptions of the test hold, then

- the choice that is best in truth is the best or tied in at least 95 % of sweeps. It is missed only if one of the
  other k - 1, none of them better in truth, beats it in a one-sided test at the level 0.05 / (k - 1). (Comparisons with
  the best: J. C. Hsu, Multiple Comparisons, 1996, chapter 4.)
- if all choices are equally good, one is called the best in at most 5 % of sweeps: for k = 2 by the two-sided level,
  for more choices because one of them has to beat all the others.

Where there is no test, for lack of pairs or of spread, choices are tied. If each choice has one split, and another one
than the best, the description says so: no repeat tells how much of the difference comes from the rows.
"""

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exp.config.metric_names import as_cost
from exp.results.formatting import format_interval, format_signed
from exp.results.job_rows import AllRows, average_splits, mean_of_splits
from exp.results.repeats import REPEATED, find_complete_choices, name_choices, name_repeats, other_meaning_note
from exp.results.sweep_csv import Row, metric_value
from exp.results.t_tests import LEVEL, Interval, compute_paired_p_value, paired_interval

# The values of a choice, in the order of repeats.choice_columns.
Choice: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """The metric of a choice minus that of the best one: its mean over the repeats of both, and its interval.

    The interval has the level of the test, so it excludes 0 where the choice is worse. It is None without a test.
    """

    mean: float
    interval: Interval | None


@dataclass(frozen=True)
class Ties:
    """The choices that may be the best, `tied`, among those `compared`.

    Attributes:
        best: The name of the observed best choice, which is one of `tied`.
        names: The name of each choice.
        test: The test, and what it is over.
        level: The level of the intervals, 0.95 for two or three choices.
        differences: Of each other choice that was compared, the best first.
    """

    best: str
    names: Mapping[Choice, str]
    tied: frozenset[Choice]
    compared: frozenset[Choice]
    test: str
    level: float
    differences: Mapping[Choice, Difference]

    def mark(self, choice: Choice) -> str:
        """Return whether the choice is the best: yes, maybe, no, or an empty string if it has no result."""
        if choice not in self.compared:
            return ""
        return "no" if choice not in self.tied else "maybe" if len(self.tied) > 1 else "yes"

    def describe(self) -> str:
        """Return a sentence on which choice is the best, and which test says so."""
        if len(self.tied) > 1:
            return f"one of the {len(self.tied)} marked maybe ({self.test})"
        others = "other choice is" if len(self.compared) == 2 else f"other {len(self.compared) - 1} choices are"
        return f"{self.best}; the {others} worse ({self.test})"

    def describe_next(self, metric: str) -> str | None:
        """Return how much worse the best of the other choices is, with the interval; None without a test."""
        known = ((choice, one) for choice, one in self.differences.items() if one.interval is not None)
        if (following := next(known, None)) is None:
            return None
        choice, one = following
        interval = f"{100 * self.level:.3g} % interval {format_interval(metric, one.interval)}"
        return f"{self.names[choice]}: {metric} {format_signed(metric, one.mean)} against the best, {interval}"

    def cells(self, metric: str, choice: Choice) -> tuple[str, str]:
        """Return the difference of a choice to the best and its interval, empty where there is none."""
        one = self.differences.get(choice)
        return ("", "") if one is None else (format_signed(metric, one.mean), format_interval(metric, one.interval))


def find_ties(rows: Sequence[Row], metric: str, known: AllRows) -> Ties | None:
    """Return which choices the jobs `rows` cannot tell from the best; None without repeats, or fewer than two choices.

    None also if the metric means something else for each choice.

    Args:
        known: The rows of the jobs, by job.
    """
    label = name_repeats(rows)
    results = {choice: _results(members, metric) for choice, members in find_complete_choices(rows).items()}
    costs = {choice: _mean_cost(metric, jobs.values(), known) for choice, jobs in results.items() if jobs}
    compared = [choice for choice, cost in costs.items() if math.isfinite(cost)]
    if not label or len(compared) < 2 or other_meaning_note(rows, metric, known) is not None:
        return None
    best = min(compared, key=costs.__getitem__)
    level = min(1 - LEVEL, 2 * (1 - LEVEL) / (len(compared) - 1))
    others = sorted((choice for choice in compared if choice != best), key=costs.__getitem__)
    tests = {choice: _test(results[best], results[choice], metric, known, 1 - level) for choice in others}
    name = metric.rpartition("/")[0]
    worse = {choice for choice, test in tests.items() if test.p is not None and test.p < level and test.is_behind(name)}
    names = name_choices(rows)
    return Ties(
        best=names[best],
        names=names,
        tied=frozenset(compared) - worse,
        compared=frozenset(compared),
        test=_describe(tests.values(), label),
        level=1 - level,
        differences={choice: test.difference for choice, test in tests.items() if test.difference is not None},
    )


@dataclass(frozen=True)
class _Result:
    """The metric of a job."""

    job: str
    value: float


@dataclass(frozen=True)
class _Test:
    """The p-value of a comparison over `n` values, None if there is no test, and what the values are of.

    `difference`: None without a repeat that both have.
    """

    p: float | None
    difference: Difference | None
    n: int
    is_over_repeats: bool
    is_corrected: bool
    has_other_rows: bool

    def is_behind(self, name: str) -> bool:
        """Return whether the metric `name` of the choice is worse than that of the best over the repeats of both."""
        return self.difference is not None and as_cost(name, self.difference.mean) > as_cost(name, 0.0)


# The results of a choice, by the values of REPEATED.
_Results: TypeAlias = Mapping[tuple[str, ...], _Result]


def _results(members: Sequence[Row], metric: str) -> _Results:
    """Return the results of those of the jobs that have the metric."""
    return {
        tuple(str(row.get(key, "")) for key in REPEATED): _Result(str(row["job"]), metric_value(row, metric))
        for row in members
        if row.get(metric) not in (None, "")
    }


def _mean_cost(metric: str, results: Collection[_Result], known: AllRows) -> float:
    name, _, split = metric.rpartition("/")
    jobs = [result.job for result in results]
    return as_cost(name, mean_of_splits([result.value for result in results], jobs, split, known))


def _test(best: _Results, other: _Results, metric: str, known: AllRows, level: float) -> _Test:
    """Compare two choices over the repeats that both have."""
    pairs = [(result, other[key]) for key, result in best.items() if key in other]
    jobs = [(one.job, two.job) for one, two in pairs]
    split = metric.rpartition("/")[2]
    first, ratio = average_splits([one.value for one, _ in pairs], jobs, split, known)
    second, _ = average_splits([two.value for _, two in pairs], jobs, split, known)
    has_other_rows = ratio == 0 and any(
        known[one].division != known[two].division for one, two in jobs if one in known and two in known
    )
    p, interval = compute_paired_p_value(first, second, ratio), paired_interval(first, second, ratio, level)
    difference = Difference(statistics.fmean(second) - statistics.fmean(first), interval) if pairs else None
    return _Test(p, difference, len(first), len(first) == len(pairs), ratio > 0, has_other_rows)


def _describe(tests: Collection[_Test], label: str) -> str:
    """Return a description of the tests over the repeats that `label` names."""
    done = [test for test in tests if test.p is not None]
    if not done:
        return f"the {label} have no spread to test by"
    low, high = min(test.n for test in done), max(test.n for test in done)
    over = label if all(test.is_over_repeats for test in done) else "splits"
    count = f"{high}" if low == high else f"{low} to {high}"
    corrected = any(test.is_corrected for test in done)
    how = ", corrected for shared rows" if corrected else " of one split"
    if any(test.has_other_rows for test in done):
        how += ", another one for each choice, which may be the difference"
    return f"paired t-test over {count} {over}{how}, {100 * LEVEL:.0f} %"
