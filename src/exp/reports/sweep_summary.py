"""The result of a sweep on the terminal: its jobs, the best first, and what went wrong."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from exp.errors import display_path, pluralize
from exp.results import repeats, run_folder, terminal
from exp.results.formatting import format_mean_std, format_metric
from exp.results.sweep_csv import Row, sort_best_first

# Longer tables are left to sweep.csv.
_MAX_ROWS = 20


def print_summary(folder: Path, rows: Sequence[Row], metric: str) -> None:
    """Print the table of the sweep in `folder`, its failures, and where its files are."""
    console = terminal.make_console()
    folder = display_path(folder)
    table, is_complete = summary_table(rows, metric, console)
    if not console.is_terminal and not terminal.in_notebook():  # a pipe or a file has no width
        console.width = max(console.width, _width(table, console))
    console.print(table)
    if not is_complete:
        console.print(f"more columns: {folder / run_folder.SWEEP_TABLE}")
    metrics = repeats.metric_columns(rows)
    if metrics and metric not in metrics:
        console.print(f"sweep.metric={metric}: no job has this metric (available: {', '.join(metrics)})")
    if pruned := sum(row["status"] == "pruned" for row in rows):
        console.print(f"{pluralize(pruned, 'more job')} pruned by the search")
    failures = _failures(rows)
    varied = repeats.varied_columns(rows)
    for row in failures[:_MAX_ROWS]:
        choices = " ".join(f"{name}={row[name]}" for name in varied if name in row)
        console.print(Text.assemble((f"{row['status']:<10}", "bold"), f"{row['job']}: {choices}: {row['error']}"))
    if len(failures) > _MAX_ROWS:
        console.print(f"          ... and {len(failures) - _MAX_ROWS} more: {run_folder.SWEEP_TABLE}")
    console.print(Text.assemble(("folder    ", "bold"), str(folder)))
    console.print(Text.assemble(("look      ", "bold"), f"tensorboard --logdir {shlex.quote(str(folder))}"))
    if (folder / run_folder.REPORT).exists():
        console.print(Text.assemble(("report    ", "bold"), str(folder / run_folder.REPORT)))


def succeeded(rows: Sequence[Row], metric: str, is_search: bool) -> bool:
    """Whether `metric` was measured and every job finished or was pruned; in a search, at least one job."""
    metrics, failures = repeats.metric_columns(rows), _failures(rows)
    is_measured = metric in metrics or not metrics
    return is_measured and (len(failures) < len(rows) if is_search else not failures)


def summary_table(rows: Sequence[Row], metric: str, console: Console) -> tuple[Table, bool]:
    """Return a row for each finished job, or for each choice if seeds vary, the best first; and whether it is complete.

    Columns that do not fit into a terminal are left out: first the test metrics and the seconds, then all metrics but
    `metric`.
    """
    varied, metrics, means = repeats.varied_columns(rows), repeats.metric_columns(rows), repeats.mean_rows(rows)
    best = sort_best_first(means or [row for row in rows if row["status"] == "finished"], metric)
    val = [name for name in metrics if name.endswith("/val") or name == metric]
    single = [metric] if metric in metrics else metrics[:1]
    if means:
        tables = [_means(best, varied, shown) for shown in (metrics, val, single)]
    else:
        tables = [_jobs(best, varied, metrics, "seconds"), _jobs(best, varied, val), _jobs(best, varied, single)]
    has_width = console.is_terminal or terminal.in_notebook()
    fitting = (table for table in tables if not has_width or _width(table, console) <= console.width)
    table = next(fitting, tables[-1])
    return table, table is tables[0]


def _width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=10_000), table).maximum


def _failures(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["status"] not in ("finished", "pruned")]


def _jobs(rows: Sequence[Row], varied: Sequence[str], metrics: Sequence[str], *others: str) -> Table:
    return _table(["job", *varied, *metrics, *others], rows)


def _means(rows: Sequence[Row], varied: Sequence[str], metrics: Sequence[str]) -> Table:
    """Each metric with its deviation in one column."""
    cells = [{**row, **{name: format_mean_std(name, row) for name in metrics}} for row in rows if row["n"]]
    lost = ["lost"] if any(row["lost"] for row in rows) else []
    return _table([*(name for name in varied if name != "seed"), "n", *lost, *metrics], cells)


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    last = [column.rpartition(".")[2] for column in columns]
    for column, short in zip(columns, last, strict=True):
        name = short if last.count(short) == 1 else column
        table.add_column(
            Text(name), no_wrap=True, justify="right" if repeats.is_metric(column) or column == "seconds" else "left"
        )
    for row in rows[:_MAX_ROWS]:
        table.add_row(*(Text(format_metric(column, row.get(column))) for column in columns))
    if len(rows) > _MAX_ROWS:
        table.caption = f"best {_MAX_ROWS} of {len(rows)}; all rows are in {run_folder.SWEEP_TABLE}"
        table.caption_justify = "left"
    return table
