"""Config-driven experiments with neural networks. From Python: `from exp import train, sweep, load`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exp.api import Result, SweepResult, load, sweep, train

__all__ = ["Result", "SweepResult", "load", "sweep", "train"]


def __getattr__(name: str) -> Any:
    """Import exp.api lazily: it imports torch, which errors in a command line do not need."""
    if name not in __all__:
        raise AttributeError(f"module 'exp' has no attribute {name!r}")

    from exp import api

    return getattr(api, name)
