"""Config-driven experiments with neural networks. From Python: `from exp import train, sweep, load`."""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exp.api import load, sweep, train
    from exp.estimators import ExpClassifier, ExpRegressor
    from exp.result import Result, SweepResult

# Before torch loads OpenMP: its threads would wait in a loop at the end of every operator. On a busy machine they then
# keep the core that the last thread needs, and a step takes many times as long (benchmarks/busy_machine.py).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__all__ = ["ExpClassifier", "ExpRegressor", "Result", "SweepResult", "load", "sweep", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, lazily: torch, which errors in a command line do not need, or scikit-learn."""
    if name not in __all__:
        raise AttributeError(f"module 'exp' has no attribute {name!r}")

    module = importlib.import_module("exp.estimators" if name.startswith("Exp") else "exp.api")
    return getattr(module, name)
