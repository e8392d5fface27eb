"""The task in PyTorch, for the contestants that use it."""

import torch
from task import Task
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def rows(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(task.x), torch.from_numpy(task.y)


def model(task: Task) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for i, (weight, bias) in enumerate(zip(task.weights, task.biases, strict=True)):
        linear = nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T))
            linear.bias.copy_(torch.from_numpy(bias))
        end = i == len(task.weights) - 1
        name = task.output_activation if end else task.activation
        layers += [linear, *([ACTIVATIONS[name]()] if name else [])]
    return nn.Sequential(*layers)


def criterion(task: Task) -> nn.Module:
    return getattr(nn, task.loss)()


def optimizer(task: Task, net: nn.Module) -> torch.optim.Optimizer:
    return getattr(torch.optim, task.optimizer)(net.parameters(), **task.hyperparameters)


@torch.no_grad()
def final_loss(task: Task, net: nn.Module) -> float:
    x, y = rows(task)
    return float(criterion(task)(net.cpu()(x), y))


def loader(task: Task) -> DataLoader:
    """Return a DataLoader; for an unshuffled full batch, one that yields all rows without copying them."""
    if task.batch_size == len(task.x) and not task.shuffle:
        return DataLoader([rows(task)], batch_size=None)  # type: ignore[arg-type]
    return DataLoader(TensorDataset(*rows(task)), task.batch_size, shuffle=task.shuffle, drop_last=task.drop_last)
