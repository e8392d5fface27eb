"""The five teaching notebooks as plain PyTorch scripts, without `exp`.

Each function is a typical script. It returns the training loss before every update, the model, and the other results
that the notebook printed.
"""

from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

XOR = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def full_batch(model: nn.Module, criterion: nn.Module, x: Tensor, y: Tensor, lr: float, updates: int) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses = torch.empty(updates)
    for i in range(updates):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        losses[i] = loss.detach()
    return losses.tolist()


def xor_softmax(updates: int = 10_000) -> tuple[list[float], nn.Module]:
    torch.manual_seed(70)
    model = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 2), nn.Sigmoid(), nn.Linear(2, 2))
    return full_batch(model, nn.CrossEntropyLoss(), XOR, torch.tensor([0, 1, 1, 0]), 0.7, updates), model


def xor_mse(updates: int = 100_000, seed: int = 0) -> tuple[list[float], nn.Module]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1), nn.Sigmoid())
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    return full_batch(model, nn.MSELoss(), XOR, y, 0.1, updates), model


def distance(updates: int = 10_000, seed: int = 5) -> tuple[list[float], nn.Module]:
    rng = np.random.default_rng(0)
    axis = np.linspace(-10, 10, 201)
    points = np.array([(a, b) for a in axis for b in axis])
    target = 2 * np.sqrt((points**2).sum(axis=1)) + rng.uniform(-0.005, 0.005, len(points))
    x = torch.tensor(points, dtype=torch.float32)
    y = torch.tensor(target, dtype=torch.float32).reshape(-1, 1)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1))
    return full_batch(model, nn.MSELoss(), x, y, 0.01, updates), model


def cancer_raw() -> tuple[list[float], nn.Module, list[float], dict[str, float]]:
    table = load_breast_cancer()
    rows = TensorDataset(torch.tensor(table.data, dtype=torch.float32), torch.tensor(table.target))
    n = len(rows)
    sizes = [int(0.6 * n), int(0.2 * n)]
    torch.manual_seed(0)
    train, val, test = random_split(rows, [*sizes, n - sum(sizes)])
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 10), nn.ReLU(), nn.Linear(10, 2))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    losses: list[float] = []
    accuracies: list[float] = []
    for x, y in DataLoader(train, batch_size=10, shuffle=True, drop_last=True):
        optimizer.zero_grad()
        output = model(x)
        loss = criterion(output, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        accuracies.append((output.argmax(1) == y).float().mean().item())

    def accuracy(part: object) -> float:
        x, y = next(iter(DataLoader(part, batch_size=n)))  # type: ignore[arg-type]
        return (model(x).argmax(1) == y).float().mean().item()

    return losses, model, accuracies, {"val": accuracy(val), "test": accuracy(test)}


def noisy_xor(seed: int = 0, epochs: int = 100) -> tuple[list[float], nn.Module, float]:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 2, size=(3500, 2))
    points = corners + rng.normal(0, 0.1, size=(3500, 2))
    rows = TensorDataset(torch.tensor(points, dtype=torch.float32), torch.tensor(corners.sum(axis=1) == 1).float())
    torch.manual_seed(seed)
    train, _, test = random_split(rows, [2500, 500, 500])
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses: list[float] = []
    for _ in range(epochs):
        for x, y in DataLoader(train, batch_size=128, shuffle=True, drop_last=True):
            optimizer.zero_grad()
            loss = criterion(model(x).squeeze(dim=1), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    x, y = next(iter(DataLoader(test, batch_size=500)))
    return losses, model, ((model(x).squeeze(dim=1).sigmoid() >= 0.5) == y.bool()).float().mean().item()


def signal_background(batch_size: int, seed: int = 0) -> tuple[list[float], nn.Module, float]:
    rng = np.random.default_rng(0)
    signal = rng.multivariate_normal([1, 0], np.eye(2), 100)
    background = rng.uniform(-5, 5, size=(1000, 2))
    order = rng.permutation(1100)
    x = torch.tensor(np.vstack([signal, background])[order], dtype=torch.float32)
    y = torch.tensor(np.r_[np.ones(100), np.zeros(1000)][order], dtype=torch.float32).reshape(-1, 1)
    torch.manual_seed(seed)
    widths = [2, 64, 64, 64, 64, 64]
    hidden = [layer for i, o in pairwise(widths) for layer in (nn.Linear(i, o), nn.ReLU())]
    model = nn.Sequential(*hidden, nn.Linear(64, 1), nn.Sigmoid())
    criterion = nn.BCELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses: list[float] = []
    for xb, yb in DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=False):
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        return losses, model, criterion(model(x), y).item()
