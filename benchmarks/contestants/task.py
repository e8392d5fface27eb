"""The task of every contestant, read from an .npz file: rows, initial parameters and training settings."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Task:
    """x [N, F]; y: class numbers [N] or targets [N, K]; weights [in, out] and biases [out] of each layer."""

    x: np.ndarray
    y: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    activation: str
    output_activation: str | None
    loss: str
    optimizer: str
    hyperparameters: dict[str, Any]
    epochs: int
    batch_size: int
    shuffle: bool
    drop_last: bool

    @property
    def lr(self) -> float:
        return self.hyperparameters["lr"]

    def refuse_all_but_plain_sgd(self) -> None:
        """Fail unless the optimizer is plain SGD, for contestants whose optimizers have other defaults."""
        assert self.optimizer == "SGD"
        assert not any(value for name, value in self.hyperparameters.items() if name != "lr")

    @property
    def steps_per_epoch(self) -> int:
        return len(self.x) // self.batch_size if self.drop_last else -(-len(self.x) // self.batch_size)


def read() -> Task:
    """Read the task from the file named on the command line."""
    with np.load(sys.argv[1]) as file:
        arrays = dict(file)
    settings = json.loads(str(arrays.pop("settings")))
    layers = sum(name.startswith("weight") for name in arrays)
    weights = [arrays.pop(f"weight{i}") for i in range(layers)]
    biases = [arrays.pop(f"bias{i}") for i in range(layers)]
    return Task(**arrays, weights=weights, biases=biases, **settings)


def measure(train: Callable[[], object]) -> float:
    """Run `train` and return its seconds."""
    start = time.perf_counter()
    train()
    return time.perf_counter() - start


def report(task: Task, seconds: float, loss: float) -> None:
    """Print the microseconds per step and the final loss over all rows, for bench.py to read."""
    print(json.dumps({"us": seconds / (task.epochs * task.steps_per_epoch) * 1e6, "loss": loss}))
