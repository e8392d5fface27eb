"""The formula of an optimizer's update, and the same with the numbers of one element.

It is that of torch's `_single_tensor_*` functions, written for one element, with torch's names for the state. A line
computes the value on its left from those above it; a name on the right is the value before, as in code.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Optimizer, RMSprop

from exp.training.explained_step import ParameterUpdate

Settings: TypeAlias = Mapping[str, Any]
# From the settings that are on, and whether it is the first update: a line for each value, "name = formula".
_MakeLines: TypeAlias = Callable[[Settings, bool], list[str]]


@dataclass(frozen=True)
class ElementUpdate:
    """The update of one element. Each line is "name = numbers = value"."""

    parameter: str
    index: tuple[int, ...]
    lines: Sequence[str]


def formula_of(optimizer: type[Optimizer], settings: Settings, is_first: bool) -> list[str]:
    """Return the lines of the update; empty if this optimizer, or one of these settings, has none here."""
    used = used_settings({"decoupled_weight_decay": optimizer is AdamW, **settings})  # torch 2.6 has no such setting
    make = _FORMULAS.get(optimizer)
    return [] if make is None or "maximize" in used else make(used, is_first)


def element_update(lines: Sequence[str], one: ParameterUpdate, index: tuple[int, ...]) -> ElementUpdate:
    """Return the lines of `formula_of` with the numbers of the element at `index`, which has a gradient."""
    assert one.gradient is not None
    values = {name: _setting(value) for name, value in one.settings.items() if isinstance(value, (int, float))}
    if betas := one.settings.get("betas"):
        values |= {"beta1": _setting(betas[0]), "beta2": _setting(betas[1])}
    values |= dict.fromkeys(one.state_after, "0")  # what an optimizer begins with
    values |= {name: _digits(tensor, index) for name, tensor in one.state_before.items()}
    values |= {"old": _digits(one.before, index), "gradient": _digits(one.gradient, index)}
    after = {**one.state_after, "new": one.after}
    if "step" in after:
        values["step"] = _digits(after["step"], index)
    made: list[str] = []
    for line in lines:
        name, _, formula = line.partition(" = ")
        result = _digits(after[name], index)
        made.append(f"{name} = {_insert(formula, values)} = {result}")
        values[name] = result
    return ElementUpdate(one.name, index, made)


def _insert(formula: str, values: Mapping[str, str]) -> str:
    """Return the formula with the values in place of their names; a negative base of a power in parentheses."""

    def value_of(word: re.Match[str]) -> str:
        value = values.get(word[0], word[0])
        return f"({value})" if value.startswith("-") and formula[word.end() :].startswith("^") else value

    return re.sub(r"[a-z][a-z0-9_]*", value_of, formula)


def used_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that have an effect on the numbers."""
    how = ("foreach", "fused", "capturable", "differentiable", "initial_lr")
    return {key: value for key, value in settings.items() if key not in how and value not in (None, False, 0)}


def _gradient(used: Settings) -> str:
    """Return the gradient, and the weight decay that is added to it."""
    is_added = "weight_decay" in used and "decoupled_weight_decay" not in used
    return "(gradient + weight_decay x old)" if is_added else "gradient"


def _sgd(used: Settings, is_first: bool) -> list[str]:
    gradient = _gradient(used)
    if "momentum" not in used:
        return [f"new = old - lr x {gradient}"]
    share = "(1 - dampening) x " if "dampening" in used else ""
    buffer = gradient.strip("()") if is_first else f"momentum x momentum_buffer + {share}{gradient}"
    change = f"({gradient} + momentum x momentum_buffer)" if "nesterov" in used else "momentum_buffer"
    return [f"momentum_buffer = {buffer}", f"new = old - lr x {change}"]


def _adam(used: Settings, _: bool) -> list[str]:
    gradient = _gradient(used)
    old = "old x (1 - lr x weight_decay)" if {"weight_decay", "decoupled_weight_decay"} <= used.keys() else "old"
    lines = [
        f"exp_avg = beta1 x exp_avg + (1 - beta1) x {gradient}",
        f"exp_avg_sq = beta2 x exp_avg_sq + (1 - beta2) x {gradient}^2",
    ]
    square = "exp_avg_sq"
    if "amsgrad" in used:
        square = "max_exp_avg_sq"
        lines.append("max_exp_avg_sq = max(max_exp_avg_sq, exp_avg_sq)")
    mean, root = "exp_avg / (1 - beta1^step)", f"sqrt({square} / (1 - beta2^step))"
    return [*lines, f"new = {old} - lr x ({mean}) / ({root} + eps)"]


def _adamax(used: Settings, _: bool) -> list[str]:
    gradient = _gradient(used)
    return [
        f"exp_avg = beta1 x exp_avg + (1 - beta1) x {gradient}",
        f"exp_inf = max(beta2 x exp_inf, abs({gradient}) + eps)",
        "new = old - lr x (exp_avg / (1 - beta1^step)) / exp_inf",
    ]


def _rmsprop(used: Settings, _: bool) -> list[str]:
    gradient = _gradient(used)
    lines = [f"square_avg = alpha x square_avg + (1 - alpha) x {gradient}^2"]
    square = "square_avg"
    if "centered" in used:
        square = "square_avg - grad_avg^2"
        lines.append(f"grad_avg = alpha x grad_avg + (1 - alpha) x {gradient}")
    change = f"{gradient} / (sqrt({square}) + eps)"
    if "momentum" not in used:
        return [*lines, f"new = old - lr x {change}"]
    return [
        *lines,
        f"momentum_buffer = momentum x momentum_buffer + {change}",
        "new = old - lr x momentum_buffer",
    ]


def _adagrad(used: Settings, _: bool) -> list[str]:
    gradient = _gradient(used)
    rate = "lr / (1 + (step - 1) x lr_decay)" if "lr_decay" in used else "lr"
    return [f"sum = sum + {gradient}^2", f"new = old - {rate} x {gradient} / (sqrt(sum) + eps)"]


def _adadelta(used: Settings, _: bool) -> list[str]:
    gradient = _gradient(used)
    change = f"sqrt(acc_delta + eps) / sqrt(square_avg + eps) x {gradient}"
    return [
        f"square_avg = rho x square_avg + (1 - rho) x {gradient}^2",
        f"new = old - lr x {change}",
        f"acc_delta = rho x acc_delta + (1 - rho) x ({change})^2",
    ]


_FORMULAS: dict[type[Optimizer], _MakeLines] = {
    SGD: _sgd,
    Adam: _adam,
    AdamW: _adam,
    Adamax: _adamax,
    RMSprop: _rmsprop,
    Adagrad: _adagrad,
    Adadelta: _adadelta,
}


def _setting(value: float) -> str:
    return f"{value:.10g}"


def _digits(tensor: Tensor, index: tuple[int, ...]) -> str:
    """Return all digits that tell a float32 from its neighbours; of a count, those of an integer."""
    value = tensor[index] if tensor.ndim else tensor
    return f"{float(value):.10g}" if not tensor.ndim or not torch.is_floating_point(value) else str(value.numpy())
