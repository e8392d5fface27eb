"""What a sweep found, for the person at the terminal: the jobs by how good they are, and what went wrong."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from exp.errors import display_path
from exp.results import run_folder, seeds, sweep_csv, terminal
from exp.results.formatting import format_mean_std, format_metric
from exp.results.sweep_csv import Row, sort_best_first

# More rows than this are for sweep.csv.
_MAX_ROWS = 20


def print_summary(folder: Path, rows: Sequence[Row], metric: str, searched: bool = False) -> bool:
    """Print the sweep's answer, and leave the whole of it in sweep.csv and, where seeds vary, seeds.csv.

    Whether every job finished; of a search, whether one did.
    """
    console = terminal.make_console()
    folder = display_path(folder)
    sweep_csv.write(folder / sweep_csv.NAME, rows)
    names = seeds.varied_columns(rows)
    metrics = seeds.metric_columns(rows)
    means = seeds.seed_statistics(rows)
    if means:
        sweep_csv.write(folder / "seeds.csv", means)
    best = sort_best_first(means or [row for row in rows if row["status"] == "finished"], metric)
    for left_out in (0, 1, 2):  # until it fits into the line
        fitting = _fitting(metrics, metric, left_out)
        shown = _means(best, names, fitting) if means else _jobs(best, names, fitting, seconds=not left_out)
        if shown.__rich_measure__(console, console.options.update(width=10_000)).maximum <= console.width:
            break
    console.print(shown)
    if metrics and metric not in metrics:
        console.print(f"sweep.metric={metric}: no job has it; there are {', '.join(metrics)}")
    if pruned := sum(row["status"] == "pruned" for row in rows):
        were, them = ("was", "it") if pruned == 1 else ("were", "them")
        console.print(f"{pruned} more {were} pruned: the search had no hope for {them}")
    failures = [row for row in rows if row["status"] not in ("finished", "pruned")]
    for row in failures[:_MAX_ROWS]:
        what = " ".join(f"{name}={row[name]}" for name in names if name in row)
        console.print(Text.assemble((f"{row['status']:<10}", "bold"), f"{row['job']}: {what}: {row['error']}"))
    if len(failures) > _MAX_ROWS:
        console.print(f"          ... and {len(failures) - _MAX_ROWS} more: {sweep_csv.NAME}")
    console.print(Text.assemble(("folder    ", "bold"), str(folder)))
    console.print(Text.assemble(("look      ", "bold"), f"tensorboard --logdir {shlex.quote(str(folder))}"))
    if (folder / run_folder.REPORT).exists():
        console.print(Text.assemble(("report    ", "bold"), str(folder / run_folder.REPORT)))
    found = metric in metrics or not metrics
    return found and (len(failures) < len(rows) if searched else not failures)


def _jobs(rows: Sequence[Row], varied: Sequence[str], metrics: Sequence[str], seconds: bool) -> Table:
    return _table(["job", *varied, *metrics, *(["seconds"] if seconds else [])], rows)


def _means(rows: Sequence[Row], varied: Sequence[str], metrics: Sequence[str]) -> Table:
    """Each metric with its deviation in one column."""
    told = [{**row, **{name: format_mean_std(name, row) for name in metrics}} for row in rows if row["n"]]
    lost = ["lost"] if any(row["lost"] for row in rows) else []
    return _table([*(name for name in varied if name != "seed"), "n", *lost, *metrics], told)


def _fitting(metrics: Sequence[str], chosen: str, left_out: int) -> Sequence[str]:
    """All of them, or without those of the test rows, or the chosen one alone."""
    return {
        0: metrics,
        1: [name for name in metrics if name.endswith("/val") or name == chosen],
        2: [name for name in metrics if name == chosen] or metrics[:1],
    }[left_out]


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    shown = Table(box=None, pad_edge=False)
    last = [column.rpartition(".")[2] for column in columns]
    for column, short in zip(columns, last, strict=True):
        name = short if last.count(short) == 1 else column
        shown.add_column(
            Text(name), no_wrap=True, justify="right" if seeds.is_metric(column) or column == "seconds" else "left"
        )
    for row in rows[:_MAX_ROWS]:
        shown.add_row(*(Text(format_metric(column, row.get(column))) for column in columns))
    if len(rows) > _MAX_ROWS:
        shown.caption = f"the best {_MAX_ROWS} of {len(rows)}; all are in {sweep_csv.NAME}"
        shown.caption_justify = "left"
    return shown
