"""One update as tables of numbers, for the terminal, a page and JSON. Of a large tensor, they have a corner."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from exp.reports.update_formula import ElementUpdate, element_update, formula_of, used_settings
from exp.training.explained_step import ExplainedStep, ParameterUpdate


class Extent(NamedTuple):
    """How much of a tensor is shown: its first rows, and the first values of each."""

    rows: int
    columns: int


class NumberTable(NamedTuple):
    """Rows of formatted numbers under a title, with the names of the columns if they have some."""

    title: str
    rows: list[list[str]]
    head: Sequence[str] = ()


@dataclass(frozen=True)
class Corner:
    """The first rows of a tensor [N, ...] and their first values; a tensor [N] is one row."""

    shape: list[int]
    values: list[list[float]]

    @classmethod
    def of(cls, tensor: Tensor, extent: Extent) -> "Corner":
        part = _as_matrix(tensor)[: extent.rows if tensor.ndim > 1 else 1, : extent.columns]
        return cls(list(tensor.shape), cast("list[list[float]]", part.tolist()))

    @classmethod
    def of_rows(cls, tensor: Tensor, extent: Extent) -> "Corner":
        """Return the corner of a tensor [B, ...], in which [B] is a column."""
        corner = cls.of(tensor.reshape(len(tensor), -1), extent)
        return cls(list(tensor.shape), corner.values)

    def table(self, title: str, names: Sequence[str] = ()) -> NumberTable:
        rows = [[_format(value) for value in row] for row in self.values]
        return NumberTable(f"{title} {self.shape}{self._cut()}", rows, names[: len(rows[0])] if rows else ())

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


def tables(step: ExplainedStep, extent: Extent) -> Iterator[NumberTable]:
    """Yield the batch, the outputs of the layers, and of each parameter what `_tables_of` has."""
    yield Corner.of_rows(step.x, extent).table("batch x", step.features)
    yield Corner.of_rows(step.y, extent).table("batch y")
    for layer in step.layers:
        yield Corner.of_rows(layer.output, extent).table(f"layer {layer.name} {layer.kind}".replace("  ", " "))
    if not step.layers or not torch.equal(step.layers[-1].output.float(), step.output.float()):
        yield Corner.of_rows(step.output, extent).table("output of the model")
    yield NumberTable("loss", [[_format(step.loss)]])
    for one in step.parameters:
        yield from _tables_of(one, extent)


def _tables_of(one: ParameterUpdate, extent: Extent) -> Iterator[NumberTable]:
    """Yield the parameter before the update, its gradient, the state of the optimizer, and the parameter after it."""
    yield Corner.of(one.before, extent).table(f"{one.name} before")
    if one.gradient is None:
        yield NumberTable(f"{one.name} gradient", [["none: it is frozen, or the loss does not depend on it"]])
    else:
        yield Corner.of(one.gradient, extent).table(f"{one.name} gradient")
    for state, after in one.state_after.items():
        if after.ndim:
            if (before := one.state_before.get(state)) is not None:
                yield Corner.of(before, extent).table(f"{one.name} {state} before")
            yield Corner.of(after, extent).table(f"{one.name} {state} after")
    yield Corner.of(one.after, extent).table(f"{one.name} after")


def fields(step: ExplainedStep, extent: Extent) -> dict[str, Any]:
    """Return the same numbers, unrounded, by name."""
    element = explain_element(step, extent)
    return {
        "rows": len(step.x),
        "row_numbers": list(step.row_numbers[: extent.rows]),
        "features": list(step.features[: extent.columns]),
        "x": vars(Corner.of_rows(step.x, extent)),
        "y": vars(Corner.of_rows(step.y, extent)),
        "layers": [
            {"layer": one.name, "kind": one.kind, "output": vars(Corner.of_rows(one.output, extent))}
            for one in step.layers
        ],
        "output": vars(Corner.of_rows(step.output, extent)),
        "loss": step.loss,
        "parameters": [
            {
                "parameter": one.name,
                "lr": one.lr,
                "before": vars(Corner.of(one.before, extent)),
                "gradient": None if one.gradient is None else vars(Corner.of(one.gradient, extent)),
                "state": [
                    {
                        "name": name,
                        "before": vars(Corner.of(one.state_before[name], extent)) if name in one.state_before else None,
                        "after": vars(Corner.of(after, extent)),
                    }
                    for name, after in one.state_after.items()
                ],
                "after": vars(Corner.of(one.after, extent)),
            }
            for one in step.parameters
        ],
        "optimizer": describe_optimizer(step),
        "update": formula(step),
        "element": None if element is None else {**vars(element), "index": list(element.index)},
    }


def largest_extent(step: ExplainedStep) -> Extent:
    """Return the most rows, and the most columns, that a tensor of the step has."""
    batch = [one.reshape(len(one), -1) for one in (step.x, step.y, step.output, *(one.output for one in step.layers))]
    matrices = [*batch, *(_as_matrix(one.before) for one in step.parameters)]
    return Extent(max(len(one) for one in matrices), max(one.shape[1] for one in matrices))


def describe_optimizer(step: ExplainedStep) -> str:
    """SGD(lr=0.02, momentum=0.9): the settings in this update that are not off."""
    settings = ", ".join(
        f"{key}={value:.10g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in used_settings(step.settings).items()
    )
    return f"{step.optimizer.__name__}({settings})"


def formula(step: ExplainedStep) -> list[str]:
    """Return the formula of the update of an element, a line for each value; empty if there is none here."""
    has_state = any(one.state_before for one in step.parameters)
    return formula_of(step.optimizer, step.settings, is_first=not has_state)


def describe_update(step: ExplainedStep, extent: Extent) -> list[str]:
    """Return the lines of `formula`, and those of `explain_element`."""
    lines, element = formula(step), explain_element(step, extent)
    if not lines:
        return [f"new = old + the change that {step.optimizer.__name__} computes from the gradient and its state"]
    shown = [f"  {line}" for line in lines]
    if element is not None:
        shown += [
            f"with the numbers of {element.parameter}{list(element.index)}",
            *(f"  {line}" for line in element.lines),
        ]
    return ["update", *shown]


def explain_element(step: ExplainedStep, extent: Extent) -> ElementUpdate | None:
    """Return the formula with the numbers of the shown element whose gradient is the largest; None without one."""
    shown = [one for one in step.parameters if one.gradient is not None and one.gradient.numel() and one.lr is not None]
    if not shown or not formula(step):
        return None
    one, place = max(((one, _largest(one.gradient, extent)) for one in shown), key=lambda pair: pair[1].size)
    lines = formula_of(step.optimizer, one.settings, is_first=not one.state_before)
    return element_update(lines, one, place.at)


class _Place(NamedTuple):
    size: float
    at: tuple[int, ...]


def _largest(gradient: Tensor | None, extent: Extent) -> _Place:
    """Return the largest absolute value of the shown corner, and where it is."""
    assert gradient is not None
    part = _as_matrix(gradient)[: extent.rows if gradient.ndim > 1 else 1, : extent.columns]
    sizes = part.abs().nan_to_num(nan=-1.0)
    row, column = divmod(int(sizes.argmax()), sizes.shape[1])
    flat = torch.tensor(row * _as_matrix(gradient).shape[1] + column)
    return _Place(float(sizes[row, column]), tuple(int(number) for number in torch.unravel_index(flat, gradient.shape)))


def _as_matrix(tensor: Tensor) -> Tensor:
    return tensor.flatten(1) if tensor.ndim > 1 else tensor.reshape(1, -1)


def _format(value: float) -> str:
    return f"{value:.6g}"
