"""PruningCallback: what a search calls to end a run early."""

from collections.abc import Callable
from typing import TypeAlias

# (epoch, validation metrics) -> whether to stop this run, because others were better at that epoch.
PruningCallback: TypeAlias = Callable[[float, dict[str, float]], bool]
