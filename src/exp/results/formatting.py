"""Format numbers of results for people."""

import re

from exp.results.sweep_csv import Row


def format_metric(name: str, value: object) -> str:
    if not isinstance(value, float):
        text = "" if value is None else str(value)
        return f"{float(text):.4g}" if re.fullmatch(r"-?\d+\.\d{5,}(e-?\d+)?", text) else text
    return f"{100 * value:.2f} %" if name.startswith("accuracy") else f"{value:.4g}"


def format_mean_std(name: str, row: Row) -> str:
    """A metric's mean in a row of seeds.csv and its deviation, which is unknown of a single run; or nothing."""
    if name not in row:
        return ""
    mean, deviation = float(row[name]), row[f"{name} std"]
    if name.startswith("accuracy"):
        return f"{100 * mean:.2f} ± {f'{100 * deviation:.2f}' if isinstance(deviation, float) else '?'} %"
    return f"{mean:.4g} ± {f'{deviation:.2g}' if isinstance(deviation, float) else '?'}"
