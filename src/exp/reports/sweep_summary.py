"""The result of a sweep on the terminal: its jobs, the best first, and what went wrong."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from exp.errors import display_path, pluralize
from exp.reports.search_lines import describe_search
from exp.reports.sweep_report import SweepResults
from exp.results import repeats, run_folder, summary, terminal
from exp.results.formatting import format_interval, format_mean_std, format_metric
from exp.results.job_rows import find_notes
from exp.results.resume_line import is_search, resume_sweep_command
from exp.results.sweep_csv import Row, sort_best_first
from exp.results.ties import Ties

# Longer tables are left to sweep.csv.
_MAX_ROWS = 20

# More corrections of failed jobs are left to their own folders.
_MAX_FIXES = 3

# Columns of the means: whether the choice is the best, and the interval of the metric that the table is sorted by.
_MARK, _INTERVAL = "best?", "95 % interval"


def print_summary(folder: Path, rows: Sequence[Row], metric: str) -> None:
    """Print the table of the sweep in `folder`, its failures, and where its files are."""
    console = terminal.make_console()
    folder = display_path(folder)
    results = SweepResults(folder, rows, metric)
    by, known, metrics, ties = results.by, results.known, results.metrics, results.ties
    table, is_complete = _summary_table(results, console)
    if not console.is_terminal and not terminal.in_notebook():  # a pipe or a file has no width
        console.width = max(console.width, _width(table, console))
    console.print(table)
    if not is_complete:
        console.print(f"more columns: {folder / _table_file(rows)}")
    for note in (*find_notes(known), repeats.other_meaning_note(rows, by, known), repeats.undefined_note(rows)):
        if note is not None:
            console.print(Text.assemble(("note      ", "bold"), note))
    if ties is not None:
        console.print(Text.assemble(("best      ", "bold"), ties.describe()))
        if (following := ties.describe_next(by)) is not None:
            console.print(Text.assemble(("next      ", "bold"), following))
    if metrics and metric not in metrics:
        console.print(f"sweep.metric={metric}: no job has this metric (available: {', '.join(metrics)})")
    if pruned := sum(row["status"] == "pruned" for row in rows):
        console.print(f"{pluralize(pruned, 'more job')} pruned by the search")
    failures = _failures(rows)
    for row in failures[:_MAX_ROWS]:
        choices = " ".join(f"{name}={row[name]}" for name in results.names if name in row)
        console.print(Text.assemble((f"{row['status']:<10}", "bold"), f"{row['job']}: {choices}: {row['error']}"))
    if len(failures) > _MAX_ROWS:
        console.print(f"          ... and {len(failures) - _MAX_ROWS} more: {run_folder.SWEEP_TABLE}")
    for line in _ways_out(folder, [row for row in failures if row["status"] == "failed"]):
        console.print(line)
    for title, line in describe_search(folder):
        console.print(Text.assemble((f"{title:<10}", "bold"), line))
    console.print(Text.assemble(("folder    ", "bold"), str(folder)))
    console.print(Text.assemble(("look      ", "bold"), f"tensorboard --logdir {shlex.quote(str(folder))}"))
    if (folder / run_folder.REPORT).exists():
        console.print(Text.assemble(("report    ", "bold"), str(folder / run_folder.REPORT)))


def has_succeeded(rows: Sequence[Row], metric: str, is_search: bool) -> bool:
    """Return whether `metric` was measured and every job finished or was pruned; in a search, at least one job."""
    metrics, failures = repeats.metric_columns(rows), _failures(rows)
    is_measured = metric in metrics or not metrics
    return is_measured and (len(failures) < len(rows) if is_search else not failures)


def _summary_table(results: SweepResults, console: Console) -> tuple[Table, bool]:
    """Return a row for each finished job, or for each choice if jobs repeat it; and whether the table is complete.

    The best row is the first. Columns that do not fit into a terminal are left out: first the metrics of the other
    split and the seconds, then all metrics but the one that they are sorted by.
    """
    metrics, by, rows = results.metrics, results.by, results.rows
    best = results.means or sort_best_first(results.finished, by)
    near = [name for name in metrics if name.rpartition("/")[2] == by.rpartition("/")[2]]
    single = [by] if by in metrics else []
    if results.means:
        choices = repeats.choice_columns(rows)
        tables = [_means(best, choices, shown, by, results.ties) for shown in (metrics, near, single)]
    else:
        varied = results.names
        tables = [_jobs(best, varied, metrics, "seconds"), _jobs(best, varied, near), _jobs(best, varied, single)]
    has_width = console.is_terminal or terminal.in_notebook()
    fitting = (table for table in tables if not has_width or _width(table, console) <= console.width)
    table = next(fitting, tables[-1])
    if len(best) > _MAX_ROWS:
        table.caption = f"best {_MAX_ROWS} of {len(best)}; all rows are in {_table_file(rows)}"
        table.caption_justify = "left"
    return table, table is tables[0]


def _table_file(rows: Sequence[Row]) -> str:
    """Return the name of the file that has the whole table."""
    return repeats.means_table(rows) if repeats.name_repeats(rows) else run_folder.SWEEP_TABLE


def _width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=10_000), table).maximum


def _failures(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["status"] not in ("finished", "pruned")]


def _ways_out(folder: Path, failed: Sequence[Row]) -> Iterator[Text]:
    """Yield what mends the failed jobs: each correction once, and the line that runs again those without any."""
    fixes = [str(summary.read(folder / str(row["job"])).get("error")).partition("\n  try: ")[2] for row in failed]
    for fix in [fix for fix in dict.fromkeys(fixes) if fix][:_MAX_FIXES]:
        yield Text.assemble(("try       ", "bold"), fix.partition("\n")[0])
    if not all(fixes) and not is_search(folder):  # which continues without the trials that failed
        yield Text.assemble(("again     ", "bold"), resume_sweep_command(folder))


def _jobs(rows: Sequence[Row], varied: Sequence[str], metrics: Sequence[str], *others: str) -> Table:
    return _table(["job", *varied, *metrics, *others], rows)


def _means(rows: Sequence[Row], choices: Sequence[str], metrics: Sequence[str], by: str, ties: Ties | None) -> Table:
    """Return each metric with its deviation in one column; `by` also with its interval."""
    cells = [
        {
            **row,
            **{name: format_mean_std(name, row) for name in metrics},
            _INTERVAL: format_interval(by, repeats.interval_of(row, by)),
            _MARK: ties and ties.mark(tuple(str(row[name]) for name in choices)),
        }
        for row in rows
        if row["n"]
    ]
    lost = ["lost"] if any(row["lost"] for row in rows) else []
    mark = [_MARK] if ties is not None else []
    shown = [column for name in metrics for column in ((name, _INTERVAL) if name == by else (name,))]
    return _table([*choices, "n", *lost, *mark, *shown], cells)


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    last = [column.rpartition(".")[2] for column in columns]
    for column, short in zip(columns, last, strict=True):
        is_clear = last.count(short) == 1 and (short == column or short not in repeats.REPEATED)  # dataset.seed
        name = short if is_clear else column
        table.add_column(
            Text(name),
            no_wrap=True,
            justify="right" if repeats.is_metric(column) or column in (_INTERVAL, "seconds") else "left",
        )
    for row in rows[:_MAX_ROWS]:
        table.add_row(*(Text(format_metric(column, row.get(column))) for column in columns))
    return table
