"""The types of a table in memory, and pandas itself, which is imported only when a table is read."""

import importlib
from typing import Any, TypeAlias

# DataFrame and Series: pandas has no complete types, so pyright would report every use.
Frame: TypeAlias = Any
Cells: TypeAlias = Any


def import_pandas() -> Any:
    """Import pandas lazily: it takes half a second."""
    return importlib.import_module("pandas")
