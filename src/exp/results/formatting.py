"""Format numbers of results, and tables of them, for people."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from exp.results.sweep_csv import Row
from exp.results.t_tests import Interval

# Metrics that are percentages.
_SHARES = ("accuracy", "label_accuracy", "subset_accuracy")


def printable(line: str) -> str:
    """Return the text on one line: a name may have a line break, after which a shell would read a command."""
    return "".join(letter if letter.isprintable() else " " for letter in line)


def format_metric(name: str, value: object) -> str:
    """Return four significant digits; an accuracy as a percentage; "" for None; other text unchanged."""
    if not isinstance(value, float):
        text = "" if value is None else str(value)
        # A value that a search chose is text, as on the command line: 0.012345678901234 is shown as 0.01235.
        return f"{float(text):.4g}" if re.fullmatch(r"-?\d+\.\d{5,}(e-?\d+)?", text) else text
    if name.startswith("r2"):
        value = round(value, 6) + 0.0  # the mean as a guess has 0, not the -5.9e-10 of float32
    return f"{100 * value:.2f} %" if name.startswith(_SHARES) else f"{value:.4g}"


def format_interval(name: str, interval: Interval | None) -> str:
    """Return the interval of a metric; empty for None."""
    if interval is None:
        return ""
    scale, unit = (100, " %") if name.startswith(_SHARES) else (1, "")
    low, high = (scale * end for end in interval)
    if not 1e-6 < high - low < 1e6:
        return f"{low:.4g} to {high:.4g}{unit}"
    decimals = max(0, 1 - math.floor(math.log10(high - low)))  # two digits of the width
    low, high = round(low, decimals) + 0.0, round(high, decimals) + 0.0  # 0.00, not -0.00
    return f"{low:.{decimals}f} to {high:.{decimals}f}{unit}"


def format_signed(name: str, value: float) -> str:
    """Return a difference of a metric with its sign: +0.13, or -2.00 % for an accuracy."""
    return f"{100 * value:+.2f} %" if name.startswith(_SHARES) else f"{value:+.4g}"


def other_checkpoint(
    best: Mapping[str, Any], last: Mapping[str, Any], is_restored: bool
) -> dict[str, Mapping[str, Any]]:
    """Return the validation metrics of the checkpoint that is not the final one, by the label of their row.

    Args:
        best: The metrics of the best step.
        last: The metrics of the last step. If they look like the best ones, there is no row.
        is_restored: Whether the final parameters are the best ones.
    """
    final, name, other = (best, "val, last.pt", last) if is_restored else (last, "val, best.pt", best)
    is_equal = all(format_metric(key, value) == format_metric(key, other.get(key)) for key, value in final.items())
    return {} if is_equal else {name: other}


def format_mean_std(name: str, row: Row) -> str:
    """Return mean ± standard deviation of a metric in a row of `repeats.mean_rows`; '?' for that of a single run."""
    if name not in row:
        return ""
    mean, deviation = float(row[name]), row[f"{name} std"]
    if name.startswith(_SHARES):
        return f"{100 * mean:.2f} ± {f'{100 * deviation:.2f}' if isinstance(deviation, float) else '?'} %"
    return f"{mean:.4g} ± {f'{deviation:.2g}' if isinstance(deviation, float) else '?'}"


def table_lines(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> list[str]:
    """Return rows of cells in aligned columns. The columns `left` are aligned to the left, the others to the right."""
    from rich.cells import cell_len  # some letters take two cells of a terminal; lazy: rich delays every command

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        padded = ((cell, " " * (width - cell_len(cell))) for cell, width in zip(row, widths, strict=True))
        cells = (cell + space if place in left else space + cell for place, (cell, space) in enumerate(padded))
        lines.append("  ".join(cells).rstrip())
    return lines
