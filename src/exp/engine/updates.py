"""The updates of torch.optim without their overhead: the same operations on the same state, so the same bits.

Each function takes the parameter group and states of an optimizer that has made its first step, and returns a function
that makes the next updates. Hyperparameters are read at every step, so schedulers work; the state remains the
optimizer's own, so its state_dict stays correct. The order of operations is that of the `_single_tensor_*` functions.
"""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
from collections.abc import Callable
from itertools import accumulate
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from exp.engine.optimizers import is_plain_torch

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


Update: TypeAlias = Callable[[Tensors], None]


# Options of torch.optim that these updates do not implement.
_UNSUPPORTED = ("maximize", "foreach", "capturable", "differentiable", "amsgrad", "centered")


def make_update(optimizer: Optimizer) -> Update | None:
    """Return the bare update of `optimizer`, or None if only `optimizer.step()` can make it.

    Its gradients are those of the parameters of the first group, then of the second one, and so on.
    """
    updates = [_make_group_update(optimizer, group) for group in optimizer.param_groups]
    made = [update for update in updates if update is not None]
    if len(made) < len(updates):
        return None
    if len(made) == 1:
        return made[0]
    ends = list(accumulate(len(group["params"]) for group in optimizer.param_groups))
    parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def update(gradients: Tensors) -> None:
        for one, part in zip(made, parts, strict=True):
            one(gradients[part])

    return update


def _make_group_update(optimizer: Optimizer, group: dict[str, Any]) -> Update | None:
    make = (_FUSED if group.get("fused") else _UPDATES).get(type(optimizer))
    if make is None or not is_plain_torch(optimizer) or any(group.get(option) for option in _UNSUPPORTED):
        return None
    parameters: list[Tensor] = [parameter.detach() for parameter in group["params"]]
    states: list[dict[str, Any]] = [optimizer.state.get(parameter, {}) for parameter in group["params"]]
    return make(group, parameters, states)


def _sgd(group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]) -> Update:
    buffers = [state["momentum_buffer"] for state in states] if group["momentum"] else []

    def update(gradients: Tensors) -> None:
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
        if buffers:
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, gradients, alpha=1 - group["dampening"])
            if group["nesterov"]:
                gradients = torch._foreach_add(gradients, buffers, alpha=group["momentum"])
            else:
                gradients = buffers
        torch._foreach_add_(parameters, gradients, alpha=-group["lr"])

    return update


def _adam(group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]) -> Update:
    steps = [state["step"] for state in states]
    means = [state["exp_avg"] for state in states]
    squares = [state["exp_avg_sq"] for state in states]

    def update(gradients: Tensors) -> None:
        torch._foreach_add_(steps, 1)
        step = steps[0].item()
        lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
        if decay and group["decoupled_weight_decay"]:
            torch._foreach_mul_(parameters, 1 - lr * decay)
        elif decay:
            gradients = torch._foreach_add(gradients, parameters, alpha=decay)
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        roots = torch._foreach_sqrt(squares)
        # A list of numbers, because torch's kernels for a list and for one number differ on a GPU.
        torch._foreach_div_(roots, [(1 - beta2**step) ** 0.5] * len(roots))
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(parameters, means, roots, [-(lr / (1 - beta1**step))] * len(roots))

    return update


def _rmsprop(group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]) -> Update:
    steps = [state["step"] for state in states]
    squares = [state["square_avg"] for state in states]
    buffers = [state["momentum_buffer"] for state in states] if group["momentum"] else []

    def update(gradients: Tensors) -> None:
        torch._foreach_add_(steps, 1)
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["alpha"])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        if buffers:
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_addcdiv_(buffers, gradients, roots)
            torch._foreach_add_(parameters, buffers, alpha=-group["lr"])
        else:
            torch._foreach_addcdiv_(parameters, gradients, roots, value=-group["lr"])

    return update


def _adagrad(group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]) -> Update:
    steps = [state["step"] for state in states]
    sums = [state["sum"] for state in states]

    def update(gradients: Tensors) -> None:
        torch._foreach_add_(steps, 1)
        step = steps[0].item()
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
        torch._foreach_addcmul_(sums, gradients, gradients, value=1)
        roots = torch._foreach_sqrt(sums)
        torch._foreach_add_(roots, group["eps"])
        lr = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        torch._foreach_addcdiv_(parameters, gradients, roots, value=-lr)

    return update


def _fused_sgd(group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]) -> Update:
    buffers = [state["momentum_buffer"] for state in states] if group["momentum"] else []

    def update(gradients: Tensors) -> None:
        torch._fused_sgd_(
            parameters,
            gradients,
            buffers,
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=group["dampening"],
            nesterov=group["nesterov"],
            weight_decay=group["weight_decay"],
            maximize=False,
            is_first_step=False,
        )

    return update


def _fused_adam(group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]) -> Update:
    steps, means, squares = ([state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq"))
    fused = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_

    def update(gradients: Tensors) -> None:
        torch._foreach_add_(steps, 1)
        fused(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    return update


_Make: TypeAlias = Callable[[dict[str, Any], list[Tensor], list[dict[str, Any]]], Update]


_UPDATES: dict[type[Optimizer], _Make] = {
    SGD: _sgd,
    Adam: _adam,
    AdamW: _adam,
    RMSprop: _rmsprop,
    Adagrad: _adagrad,
}


# With `fused=true`, one kernel of torch's for all parameters. Its bits differ from those of the updates above.
_FUSED: dict[type[Optimizer], _Make] = {SGD: _fused_sgd, Adam: _fused_adam, AdamW: _fused_adam}
