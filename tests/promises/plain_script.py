"""A plain PyTorch script without `exp`: the independent reference for the numbers of `exp`.

It is a typical training loop: TensorDataset, random_split, DataLoader, an nn.Module with its layers as attributes,
torch.optim. It shares only scikit-learn with `exp`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Net(nn.Module):
    def __init__(self, inputs: int, hidden: list[int], outputs: int, activation: str, last: str | None, dropout: float):
        super().__init__()
        functions = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, None: lambda x: x}
        self.activation: Callable[[Tensor], Tensor] = functions[activation]
        self.last: Callable[[Tensor], Tensor] = functions[last]
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.layers = nn.ModuleList()
        for width in hidden:
            self.layers.append(nn.Linear(inputs, width))
            inputs = width
        self.out = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.activation(layer(x))
            if self.dropout is not None:
                x = self.dropout(x)
        return self.last(self.out(x))


@dataclass
class Script:
    """The settings of a plain script."""

    x: np.ndarray
    y: np.ndarray
    criterion: nn.Module
    optimizer: Callable[..., torch.optim.Optimizer]
    hyperparameters: dict[str, Any]
    split: bool = True
    parts: list[Any] | None = None  # the rows for training, validation and testing, where random_split does not decide
    standardize: bool = False
    outputs: int = 1
    hidden: list[int] = field(default_factory=list)
    activation: str = "relu"
    last: str | None = None
    dropout: float = 0.0
    batch_size: int | None = None
    shuffle: bool = False
    drop_last: bool = False
    epochs: int = 1
    seed: int = 0
    clip: float | None = None
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None
    schedule_every: str = "epoch"  # or "step"

    def run(self) -> tuple[list[float], list[float], nn.Module]:
        """The training loss before every update, the validation loss after every epoch, and the trained model."""
        n = len(self.x)
        x = self.x.astype(np.float64)
        sizes = [int(0.6 * n), int(0.2 * n), n - int(0.6 * n) - int(0.2 * n)]
        if self.parts is not None:
            parts = self.parts
        elif self.split:
            torch.manual_seed(self.seed)
            parts = [part.indices for part in random_split(range(n), sizes)]  # type: ignore[arg-type]
        else:
            parts = [list(range(n))] * 3
        if self.standardize:
            x = StandardScaler().fit(x[parts[0]]).transform(x)
        classes = isinstance(self.criterion, nn.CrossEntropyLoss)
        y = torch.tensor(self.y) if classes else torch.tensor(self.y, dtype=torch.float32).reshape(n, -1)
        train, val, _ = (TensorDataset(torch.tensor(x, dtype=torch.float32)[part], y[part]) for part in parts)

        torch.manual_seed(self.seed)
        model = Net(x.shape[1], self.hidden, self.outputs, self.activation, self.last, self.dropout)
        optimizer = self.optimizer(model.parameters(), **self.hyperparameters)
        scheduler = self.scheduler(optimizer) if self.scheduler else None
        losses: list[float] = []
        val_losses: list[float] = []

        def update(xb: Tensor, yb: Tensor) -> None:
            first: list[float] = []

            def closure() -> Tensor:
                optimizer.zero_grad()
                loss = self.criterion(model(xb), yb)
                loss.backward()
                if self.clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), self.clip)
                first.append(loss.item())
                return loss

            if isinstance(optimizer, torch.optim.LBFGS):
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()
            losses.append(first[0])
            if scheduler is not None and self.schedule_every == "step":
                scheduler.step()

        loader = DataLoader(train, self.batch_size or len(train), shuffle=self.shuffle, drop_last=self.drop_last)
        for _ in range(self.epochs):
            model.train()
            if self.batch_size is None and not self.shuffle:
                update(*train.tensors)  # a full batch needs no loader
            else:
                for xb, yb in loader:
                    update(xb, yb)
            model.eval()
            with torch.no_grad():
                val_losses.append(self.criterion(model(val.tensors[0]), val.tensors[1]).item())
            if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                scheduler.step(val_losses[-1])
            elif scheduler is not None and self.schedule_every == "epoch":
                scheduler.step()
        return losses, val_losses, model
