"""Jobs that differ only in their seed or fold repeat one choice: its mean, deviation, interval and count."""

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from exp.config.metric_names import metric_range
from exp.config.schema import has_effect
from exp.results.job_rows import AllRows, JobRows, average_splits, read_job_rows
from exp.results.run_folder import FOLDS_TABLE, SEEDS_TABLE
from exp.results.sweep_csv import OWN, SPLITS, Row, sort_best_first, write_rows
from exp.results.t_tests import Interval, mean_interval

# The keys in which repeats differ, and what their values are called.
REPEATED = {"seed": "seeds", "fold": "folds"}

# Keys in addition to those of the loss that decide what the loss means.
UNITS_OF_LOSS = ("dataset.scale_target", "dataset.weight")

# Keys that decide which rows and which target a metric is of.
_OF_ROWS = ("dataset", "dataset.target")


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write the means of the jobs `rows` to `folder`: folds.csv if their folds vary, seeds.csv if only seeds do."""
    means = mean_rows(rows, read_job_rows(folder, rows))
    name = means_table(rows)
    for stale in {FOLDS_TABLE, SEEDS_TABLE} - ({name} if means else set()):
        (folder / stale).unlink(missing_ok=True)
    if means:
        write_rows(folder / name, means)


def means_table(rows: Iterable[Row]) -> str:
    """Return the name of the table of means: folds.csv if the folds of the jobs vary, and else seeds.csv."""
    return FOLDS_TABLE if "fold" in find_varied_columns(rows) else SEEDS_TABLE


def is_metric(column: str) -> bool:
    """Return whether a column of sweep.csv is a metric: loss/val, accuracy/test."""
    return column.endswith(tuple(f"/{split}" for split in SPLITS))


def metric_columns(rows: Iterable[Row]) -> list[str]:
    """Return the metric columns that any of the rows has."""
    return list(dict.fromkeys(name for row in rows for name in row if is_metric(name)))


def find_varied_columns(rows: Iterable[Row]) -> list[str]:
    """Return the columns of choices in which the jobs differ, in the order of the command line."""
    rows = list(rows)
    columns = dict.fromkeys(column for row in rows for column in row)
    choices = (name for name in columns if name not in OWN and not is_metric(name) and has_effect(name))
    return [column for column in choices if len({str(row.get(column, "")) for row in rows}) > 1]


def choice_columns(rows: Iterable[Row]) -> list[str]:
    """Return the varied columns in which choices differ: all but those of REPEATED."""
    return [name for name in find_varied_columns(rows) if name not in REPEATED]


def name_repeats(rows: Iterable[Row]) -> str:
    """Return what varies between the repeats: "seeds", "folds", "seeds and folds"; empty if there are none."""
    varied = find_varied_columns(rows)
    return " and ".join(name for key, name in REPEATED.items() if key in varied)


def group_by_choice(rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Return the jobs by their values of `choice_columns`."""
    names = choice_columns(rows)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(name, "")) for name in names), []).append(row)
    return groups


def find_complete_choices(rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Return the finished jobs of each choice that has as many of them as any other; empty if no job finished.

    Only these are compared: of the others, a seed that diverged has no value, and the mean would be too good.
    """
    groups = group_by_choice(rows).items()
    finished = {choice: [row for row in members if row["status"] == "finished"] for choice, members in groups}
    most = max(map(len, finished.values()), default=0)
    return {choice: members for choice, members in finished.items() if members and len(members) == most}


def sort_means(means: Sequence[Row], metric: str) -> list[Row]:
    """Return the rows of `mean_rows` with the best by `metric` first, and those of incomplete choices last."""
    most = max((int(str(row["n"])) for row in means), default=0)
    return sorted(sort_best_first(means, metric), key=lambda row: int(str(row["n"])) < most)


def name_choices(rows: Sequence[Row]) -> dict[tuple[str, ...], str]:
    """Return the name of each choice, by its values: 'batching=full, lr=0.1'."""
    names = choice_columns(rows)
    short = [name.rpartition(".")[2] for name in [*names, *REPEATED]]  # dataset.seed is no seed
    labels = [last if short.count(last) == 1 else name for name, last in zip(names, short, strict=False)]
    return {
        values: ", ".join(f"{name}={value}" for name, value in zip(labels, values, strict=True)) or "all"
        for values in group_by_choice(rows)
    }


def group_finished(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the folders of the finished jobs of each choice, by its name, without choices that have none."""
    names = name_choices(rows)
    groups = {
        names[values]: [str(member["job"]) for member in members if member["status"] == "finished"]
        for values, members in group_by_choice(rows).items()
    }
    return {name: jobs for name, jobs in groups.items() if jobs}


def other_meaning_note(rows: Sequence[Row], metric: str, known: AllRows) -> str | None:
    """Return why the values of `metric` cannot be compared between the choices; None if they can.

    They are of another dataset or target, or the loss has another meaning: that of another loss function, of other
    class weights, or of another scale of the target. An `experiment` may choose these, too.

    Args:
        known: The rows of the jobs, by job.
    """
    names = choice_columns(rows)
    if of_rows := _with_other_rows(rows, names, known):
        return f"{metric} is of other rows or another target for each {', '.join(of_rows)}, so its order says nothing"
    of_loss = [name for name in names if name.partition(".")[0] == "loss" or name in UNITS_OF_LOSS]
    if not of_loss and len({one.loss for one in _known_of(rows, known)}) > 1:
        of_loss = ["loss"]
    if metric.rpartition("/")[0] != "loss" or not of_loss:
        return None
    split = metric.rpartition("/")[2]
    others = [name for name in metric_columns(rows) if name.endswith(f"/{split}") and name != metric]
    instead = f"; to compare them: sweep.metric={others[0]}" if others else ""
    return f"{metric} has another unit for each {', '.join(of_loss)}, so its order says nothing{instead}"


def _with_other_rows(rows: Sequence[Row], names: Sequence[str], known: AllRows) -> list[str]:
    """Return the keys of the dataset and the target if jobs of the same repeat have other values to predict."""
    keys = [name for name in names if name in _OF_ROWS]
    if "dataset" not in keys and len({one.dataset for one in _known_of(rows, known)}) > 1:
        keys = ["dataset", *keys]
    repeats: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        repeats.setdefault(tuple(str(row.get(key, "")) for key in REPEATED), []).append(row)
    has_others = any(len({one.target for one in _known_of(members, known)}) > 1 for members in repeats.values())
    return keys if has_others else []


def _known_of(rows: Iterable[Row], known: AllRows) -> list[JobRows]:
    return [known[job] for row in rows if (job := str(row["job"])) in known]


def undefined_note(rows: Sequence[Row]) -> str | None:
    """Return which means are over fewer jobs, as the rows of the others do not define the metric; None if none is."""
    finished = [row for row in rows if row["status"] == "finished"]
    having = {name: sum(name in row for row in finished) for name in metric_columns(finished)}
    fewer = [f"{name} ({count} of {len(finished)} jobs)" for name, count in having.items() if count < len(finished)]
    if not fewer or not name_repeats(rows):
        return None
    return f"means over the jobs whose rows define the metric: {', '.join(fewer)}"


def mean_rows(rows: Sequence[Row], known: AllRows) -> list[Row]:
    """Return a row for each choice: its values, and mean, deviation and interval of every metric.

    `n` is the number of finished jobs, which the statistics are over, but for those of `undefined_note`; `lost` is the
    number of the others. For each metric NAME/SPLIT, `NAME/SPLIT std` is the sample standard deviation, and
    `NAME/SPLIT low` and `NAME/SPLIT high` are the 95 % interval of the mean; they are empty strings where they are not
    defined. The list is empty if nothing is repeated.

    Args:
        known: The rows of the jobs, by job.
    """
    if not name_repeats(rows):
        return []
    names = choice_columns(rows)
    table: list[Row] = []
    for values, members in group_by_choice(rows).items():
        finished = [member for member in members if member["status"] == "finished"]
        counts = {"n": len(finished), "lost": len(members) - len(finished)}
        table.append({**dict(zip(names, values, strict=True)), **counts, **_statistics(finished, known)})
    return table


def interval_of(row: Row, metric: str) -> Interval | None:
    """Return the interval of a metric in a row of `mean_rows`; None if it has none."""
    low, high = row.get(f"{metric} low"), row.get(f"{metric} high")
    return (low, high) if isinstance(low, float) and isinstance(high, float) else None


def _statistics(members: Sequence[Row], known: AllRows) -> Row:
    row: Row = {}
    for name in metric_columns(members):
        having = [member for member in members if name in member]
        values = [float(str(member[name])) for member in having]
        metric, _, split = name.rpartition("/")
        averaged, ratio = average_splits(values, [(str(member["job"]),) for member in having], split, known)
        row[name] = statistics.fmean(averaged)
        has_deviation = len(values) > 1 and all(map(math.isfinite, values))
        row[f"{name} std"] = statistics.stdev(values) if has_deviation else ""
        interval = mean_interval(averaged, ratio)
        smallest, largest = metric_range(metric)
        row[f"{name} low"] = "" if interval is None else max(smallest, interval[0])
        row[f"{name} high"] = "" if interval is None else min(largest, interval[1])
    return row
