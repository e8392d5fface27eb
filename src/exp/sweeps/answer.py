"""What a sweep found, for the person at the terminal: the jobs by how good they are, and what went wrong."""

import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from exp import page, screen
from exp.errors import as_typed
from exp.sweeps import seeds, table
from exp.sweeps.table import Row

# More rows than this are for sweep.csv.
_MOST = 20
_SMALLER_IS_BETTER = ("loss", "rmse")


def best_first(rows: Sequence[Row], measure: str) -> list[Row]:
    """The rows sorted by `measure`, those that have none of it last, in their order."""
    sign = 1 if measure.partition("/")[0] in _SMALLER_IS_BETTER else -1

    def place(row: Row) -> tuple[bool, float]:
        value = float(row.get(measure) or "nan")
        return (True, 0.0) if math.isnan(value) else (False, sign * value)

    return sorted(rows, key=place)


def figure(name: str, value: object) -> str:
    if not isinstance(value, float):
        text = "" if value is None else str(value)
        return f"{float(text):.4g}" if re.fullmatch(r"-?\d+\.\d{5,}(e-?\d+)?", text) else text
    return f"{100 * value:.2f} %" if name.startswith("accuracy") else f"{value:.4g}"


def tell(folder: Path, rows: Sequence[Row], measure: str, searched: bool = False) -> bool:
    """Print the sweep's answer, and leave the whole of it in sweep.csv and, where seeds vary, seeds.csv.

    Whether every job finished; of a search, whether one did.
    """
    console = screen.console()
    folder = as_typed(folder)
    table.write(folder / table.NAME, rows)
    names = seeds.varied(rows)
    measures = seeds.measures(rows)
    means = seeds.grouped(rows)
    if means:
        table.write(folder / "seeds.csv", means)
    best = best_first(means or [row for row in rows if row["status"] == "finished"], measure)
    for left_out in (0, 1, 2):  # until it fits into the line
        fitting = _fitting(measures, measure, left_out)
        shown = _means(best, names, fitting) if means else _jobs(best, names, fitting, seconds=not left_out)
        if shown.__rich_measure__(console, console.options.update(width=10_000)).maximum <= console.width:
            break
    console.print(shown)
    if measures and measure not in measures:
        console.print(f"sweep.measure={measure}: no job has it; there are {', '.join(measures)}")
    if pruned := sum(row["status"] == "pruned" for row in rows):
        were, them = ("was", "it") if pruned == 1 else ("were", "them")
        console.print(f"{pruned} more {were} pruned: the search had no hope for {them}")
    failures = [row for row in rows if row["status"] not in ("finished", "pruned")]
    for row in failures[:_MOST]:
        what = " ".join(f"{name}={row[name]}" for name in names if name in row)
        console.print(Text.assemble((f"{row['status']:<10}", "bold"), f"{row['job']}: {what}: {row['error']}"))
    if len(failures) > _MOST:
        console.print(f"          ... and {len(failures) - _MOST} more: {table.NAME}")
    console.print(Text.assemble(("folder    ", "bold"), str(folder)))
    console.print(Text.assemble(("look      ", "bold"), f"tensorboard --logdir {shlex.quote(str(folder))}"))
    if (folder / page.NAME).exists():
        console.print(Text.assemble(("report    ", "bold"), str(folder / page.NAME)))
    found = measure in measures or not measures
    return found and (len(failures) < len(rows) if searched else not failures)


def _jobs(rows: Sequence[Row], varied: Sequence[str], measures: Sequence[str], seconds: bool) -> Table:
    return _table(["job", *varied, *measures, *(["seconds"] if seconds else [])], rows)


def _means(rows: Sequence[Row], varied: Sequence[str], measures: Sequence[str]) -> Table:
    """Each measure with its deviation in one column."""
    told = [{**row, **{name: scattered(name, row) for name in measures}} for row in rows if row["n"]]
    lost = ["lost"] if any(row["lost"] for row in rows) else []
    return _table([*(name for name in varied if name != "seed"), "n", *lost, *measures], told)


def _fitting(measures: Sequence[str], chosen: str, left_out: int) -> Sequence[str]:
    """All of them, or without those of the test rows, or the chosen one alone."""
    return {
        0: measures,
        1: [name for name in measures if name.endswith("/val") or name == chosen],
        2: [name for name in measures if name == chosen] or measures[:1],
    }[left_out]


def scattered(name: str, row: Row) -> str:
    """A measure's mean in a row of seeds.csv and its deviation, which is unknown of a single run; or nothing."""
    if name not in row:
        return ""
    mean, deviation = float(row[name]), row[f"{name} std"]
    if name.startswith("accuracy"):
        return f"{100 * mean:.2f} ± {f'{100 * deviation:.2f}' if isinstance(deviation, float) else '?'} %"
    return f"{mean:.4g} ± {f'{deviation:.2g}' if isinstance(deviation, float) else '?'}"


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    shown = Table(box=None, pad_edge=False)
    last = [column.rpartition(".")[2] for column in columns]
    for column, short in zip(columns, last, strict=True):
        name = short if last.count(short) == 1 else column
        shown.add_column(
            Text(name), no_wrap=True, justify="right" if seeds.is_measure(column) or column == "seconds" else "left"
        )
    for row in rows[:_MOST]:
        shown.add_row(*(Text(figure(column, row.get(column))) for column in columns))
    if len(rows) > _MOST:
        shown.caption = f"the best {_MOST} of {len(rows)}; all are in {table.NAME}"
        shown.caption_justify = "left"
    return shown
