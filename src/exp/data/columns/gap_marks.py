"""Words that stand for an empty cell in a column of numbers, dates or booleans; in a column of words they are words."""

from collections.abc import Iterable

MARKS = frozenset(
    (
        *("?", "??", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "\u2026", "*", "**", "***", "_", "/", "#"),
        *("na", "n/a", "n.a.", "n.a", "nan", "null", "nil", "none", "n/k", "nk", "n/d", "nd", "void", "-nan"),
        *("unknown", "missing", "not available", "not applicable", "not known", "no data", "undefined", "blank"),
        *("empty", "(blank)", "(null)", "(none)", "(missing)", "<na>", "nat", "tbd", "tba"),
        *("#n/a", "#na", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!"),
    )
)


def is_gap(word: str) -> bool:
    """Return whether a stripped word may stand for an empty cell."""
    return not word or word.lower() in MARKS


def gap_notes(name: str, counts: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Return a note that names the marks in a column, from pairs of mark and number of cells; none without marks."""
    listed = ", ".join(f"{mark!r} ({count:,})" for mark, count in counts if mark)
    return (f"column '{name}': read as empty cells: {listed}",) if listed else ()
