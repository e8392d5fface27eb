"""Notes on the columns of a wide table: what holds for many columns is one note."""

import re
from collections import Counter
from collections.abc import Sequence

_MOST = 10  # columns with a note of their own that says the same
# What differs between the notes of two columns: the name, the number of cells, and the cell that is shown.
_NAMED = re.compile(r"^column '.*?':(?: [\d,]+ cells?)?|^[\d,]+ rows? without .*(?=: replaced by)")
_SHOWN = re.compile(r"'[^']*'(?: is (?:read as )?\S+)?|row \d+|\([\d,]+\)|(?<=: replaced by )\S+")


def merge_notes(notes: Sequence[str]) -> list[str]:
    """Return the notes, but of more than 10 columns that differ in nothing else only the first, with their number."""
    kinds = [_SHOWN.sub("", _NAMED.sub("column", note)) if _NAMED.match(note) else note for note in notes]
    counts, merged = Counter(kinds), list[str]()
    for place, (kind, note) in enumerate(zip(kinds, notes, strict=True)):
        if counts[kind] <= _MOST:
            merged.append(note)
        elif kinds.index(kind) == place:
            merged.append(f"{note}; likewise in {counts[kind] - 1:,} other columns")
    return merged
