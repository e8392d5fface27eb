"""One update as tables of numbers, for the terminal, a page and JSON. Of a large tensor, they have a corner."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from exp.training.explained_step import ExplainedStep

# Of a tensor; further ones are not shown.
_MAX_COLUMNS = 8


class NumberTable(NamedTuple):
    """Rows of formatted numbers under a title."""

    title: str
    rows: list[list[str]]


@dataclass(frozen=True)
class Corner:
    """The first rows of a tensor [N, ...] and their first values; a tensor [N] is one row."""

    shape: list[int]
    values: list[list[float]]

    @classmethod
    def of(cls, tensor: Tensor, rows: int) -> "Corner":
        part = _as_matrix(tensor)[: rows if tensor.ndim > 1 else 1, :_MAX_COLUMNS]
        return cls(list(tensor.shape), cast("list[list[float]]", part.tolist()))

    @classmethod
    def of_rows(cls, tensor: Tensor, rows: int) -> "Corner":
        """Return the corner of a tensor [B, ...], in which [B] is a column."""
        corner = cls.of(tensor.reshape(len(tensor), -1), rows)
        return cls(list(tensor.shape), corner.values)

    def table(self, title: str) -> NumberTable:
        return NumberTable(
            f"{title} {self.shape}{self._cut()}", [[_format(value) for value in row] for row in self.values]
        )

    def _cut(self) -> str:
        """Return which part it is, empty if it is all."""
        total = math.prod(self.shape)
        width = len(self.values[0]) if self.values else 0
        if len(self.values) * width == total:
            return ""
        height = self.shape[0] if len(self.shape) > 1 or width == 1 else 1
        rows = f"{len(self.values)} of {height} rows" if len(self.values) < height else ""
        across = total // max(1, height)
        columns = f"{width} of {across} columns" if width < across else ""
        return f", first {' and '.join(part for part in (rows, columns) if part)}"


def tables(step: ExplainedStep, rows: int) -> Iterator[NumberTable]:
    """Yield the batch, the outputs of the layers, and each parameter before the update, its gradient, and after it."""
    yield Corner.of_rows(step.x, rows).table("batch x")
    yield Corner.of_rows(step.y, rows).table("batch y")
    for layer in step.layers:
        yield Corner.of_rows(layer.output, rows).table(f"layer {layer.name} {layer.kind}".replace("  ", " "))
    if not step.layers or not torch.equal(step.layers[-1].output.float(), step.output.float()):
        yield Corner.of_rows(step.output, rows).table("output of the model")
    yield NumberTable("loss", [[_format(step.loss)]])
    for one in step.parameters:
        yield Corner.of(one.before, rows).table(f"{one.name} before")
        if one.gradient is None:
            yield NumberTable(f"{one.name} gradient", [["none: it is frozen, or the loss does not depend on it"]])
        else:
            yield Corner.of(one.gradient, rows).table(f"{one.name} gradient")
        yield Corner.of(one.after, rows).table(f"{one.name} after")


def fields(step: ExplainedStep, rows: int) -> dict[str, Any]:
    """Return the same numbers, unrounded, by name."""
    return {
        "rows": len(step.x),
        "row_numbers": list(step.row_numbers[:rows]),
        "x": vars(Corner.of_rows(step.x, rows)),
        "y": vars(Corner.of_rows(step.y, rows)),
        "layers": [
            {"layer": one.name, "kind": one.kind, "output": vars(Corner.of_rows(one.output, rows))}
            for one in step.layers
        ],
        "output": vars(Corner.of_rows(step.output, rows)),
        "loss": step.loss,
        "parameters": [
            {
                "parameter": one.name,
                "lr": one.lr,
                "before": vars(Corner.of(one.before, rows)),
                "gradient": None if one.gradient is None else vars(Corner.of(one.gradient, rows)),
                "after": vars(Corner.of(one.after, rows)),
            }
            for one in step.parameters
        ],
        "optimizer": describe_optimizer(step),
        "update": describe_update(step, rows),
    }


def describe_optimizer(step: ExplainedStep) -> str:
    """SGD(lr=0.02, momentum=0.9): the settings in this update that are not off."""
    settings = ", ".join(
        f"{key}={value:.10g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in _used(step.settings).items()
    )
    return f"{step.optimizer.__name__}({settings})"


def describe_update(step: ExplainedStep, rows: int) -> str:
    """Return how the parameters change; for SGD without momentum with the numbers of one of the shown elements."""
    used, name = _used(step.settings), step.optimizer.__name__
    if step.optimizer is not torch.optim.SGD or "maximize" in used or "nesterov" in used:
        return f"new = old + the change that {name} computes from the gradient and what it keeps of earlier ones"
    decay = used.get("weight_decay", 0.0)
    terms = f"(gradient + {decay:.10g} x old)" if decay else "gradient"
    if "momentum" in used:
        share = f"{1 - used['dampening']:.10g} x " if "dampening" in used else ""
        return (
            f"new = old - lr x velocity; velocity = {used['momentum']:.10g} x the velocity of the step before + "
            f"{share}{terms}, and {terms} in the first step"
        )
    formula = f"new = old - lr x {terms}"
    shown = [one for one in step.parameters if one.gradient is not None and one.gradient.numel() and one.lr]
    if not shown or len({one.lr for one in shown}) > 1:  # groups may have a weight decay of their own
        return formula
    one, place = max(((one, _largest(one.gradient, rows)) for one in shown), key=lambda pair: pair[1].size)
    at = place.at
    assert one.gradient is not None
    old, gradient, new = (_digits(tensor[at]) for tensor in (one.before, one.gradient, one.after))
    taken = f"({gradient} + {decay:.10g} x {old})" if decay else gradient
    return f"{formula}; {one.name}{list(at)}: {old} - {one.lr:.10g} x {taken} = {new}"


class _Place(NamedTuple):
    size: float
    at: tuple[int, ...]


def _largest(gradient: Tensor | None, rows: int) -> _Place:
    """Return the largest absolute value of the shown corner, and where it is."""
    assert gradient is not None
    sizes = _as_matrix(gradient)[: rows if gradient.ndim > 1 else 1, :_MAX_COLUMNS].abs().nan_to_num(nan=-1.0)
    row, column = divmod(int(sizes.argmax()), sizes.shape[1])
    flat = torch.tensor(row * _as_matrix(gradient).shape[1] + column)
    return _Place(float(sizes[row, column]), tuple(int(number) for number in torch.unravel_index(flat, gradient.shape)))


def _as_matrix(tensor: Tensor) -> Tensor:
    return tensor.flatten(1) if tensor.ndim > 1 else tensor.reshape(1, -1)


def _used(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that have an effect on the numbers."""
    how = ("foreach", "fused", "capturable", "differentiable", "initial_lr")
    return {key: value for key, value in settings.items() if key not in how and value not in (None, False, 0)}


def _format(value: float) -> str:
    return f"{value:.6g}"


def _digits(value: Tensor) -> str:
    """Return all digits that tell a float32 from its neighbours."""
    return str(value.numpy())
