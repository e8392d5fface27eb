"""The arithmetic of torch.optim's updates: the same operations on the same state, so the same bits.

Each function updates one parameter group, in the order of operations of torch's `_single_tensor_*` functions. For
script_loop.py, TorchScript compiles its source too, so it is written in what both languages understand. Its arguments
are the gradients; lists of tensors, of which the first are the parameters; and the numbers of this update.
"""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

Tensors: TypeAlias = list[Tensor]
Numbers: TypeAlias = list[float]
UpdateFunction: TypeAlias = Callable[[Tensors, list[Tensors], Numbers], None]


def _sgd(gradients: list[Tensor], tensors: list[list[Tensor]], numbers: list[float]) -> None:
    parameters, buffers = tensors
    lr, weight_decay, momentum, dampening, nesterov = numbers
    if weight_decay != 0:
        gradients = torch._foreach_add(gradients, parameters, alpha=weight_decay)  # pyright: ignore
    if momentum != 0:
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients, alpha=1 - dampening)
        gradients = torch._foreach_add(gradients, buffers, alpha=momentum) if nesterov != 0 else buffers  # pyright: ignore
    torch._foreach_add_(parameters, gradients, alpha=-lr)


def _adam(gradients: list[Tensor], tensors: list[list[Tensor]], numbers: list[float]) -> None:
    parameters, means, squares = tensors
    shrink, weight_decay, beta1, beta2, root_correction, eps, step_size = numbers
    if shrink != 1:
        torch._foreach_mul_(parameters, shrink)
    if weight_decay != 0:
        gradients = torch._foreach_add(gradients, parameters, alpha=weight_decay)  # pyright: ignore
    torch._foreach_lerp_(means, gradients, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
    roots = torch._foreach_sqrt(squares)
    torch._foreach_div_(roots, root_correction)
    torch._foreach_add_(roots, eps)
    torch._foreach_addcdiv_(parameters, means, roots, value=-step_size)


def _adam_numbers(is_adamw: bool, group: dict[str, Any], counts: Sequence[int]) -> list[Numbers]:
    lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
    shrink, added = (1 - lr * decay, 0.0) if _is_decay_decoupled(is_adamw, group) else (1.0, decay)
    first, eps = [float(shrink), float(added), float(beta1), float(beta2)], float(group["eps"])
    return [[*first, float((1 - beta2**count) ** 0.5), eps, float(lr / (1 - beta1**count))] for count in counts]


def _is_decay_decoupled(is_adamw: bool, group: dict[str, Any]) -> bool:
    return group.get("decoupled_weight_decay", is_adamw)  # the groups of torch 2.6 do not have it


def _rmsprop(gradients: list[Tensor], tensors: list[list[Tensor]], numbers: list[float]) -> None:
    parameters, squares, buffers = tensors
    lr, weight_decay, alpha, eps, momentum = numbers
    if weight_decay != 0:
        gradients = torch._foreach_add(gradients, parameters, alpha=weight_decay)  # pyright: ignore
    torch._foreach_mul_(squares, alpha)
    torch._foreach_addcmul_(squares, gradients, gradients, value=1 - alpha)
    roots = torch._foreach_sqrt(squares)
    torch._foreach_add_(roots, eps)
    if momentum != 0:
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_addcdiv_(buffers, gradients, roots)
        torch._foreach_add_(parameters, buffers, alpha=-lr)
    else:
        torch._foreach_addcdiv_(parameters, gradients, roots, value=-lr)


def _adagrad(gradients: list[Tensor], tensors: list[list[Tensor]], numbers: list[float]) -> None:
    parameters, sums = tensors
    lr, weight_decay, eps = numbers
    if weight_decay != 0:
        gradients = torch._foreach_add(gradients, parameters, alpha=weight_decay)  # pyright: ignore
    torch._foreach_addcmul_(sums, gradients, gradients, value=1)
    roots = torch._foreach_sqrt(sums)
    torch._foreach_add_(roots, eps)
    torch._foreach_addcdiv_(parameters, gradients, roots, value=-lr)


def _adagrad_numbers(group: dict[str, Any], counts: Sequence[int]) -> list[Numbers]:
    lr, lr_decay, others = group["lr"], group["lr_decay"], [float(group["weight_decay"]), float(group["eps"])]
    return [[float(lr / (1 + (count - 1) * lr_decay)), *others] for count in counts]


def _fused_sgd(gradients: list[Tensor], tensors: list[list[Tensor]], numbers: list[float]) -> None:
    parameters, buffers = tensors
    lr, weight_decay, momentum, dampening, nesterov = numbers
    torch._fused_sgd_(
        parameters,
        gradients,
        buffers,
        weight_decay=weight_decay,
        momentum=momentum,
        lr=lr,
        dampening=dampening,
        nesterov=nesterov != 0,
        maximize=False,
        is_first_step=False,
    )


def _fused_adam(gradients: list[Tensor], tensors: list[list[Tensor]], numbers: list[float]) -> None:
    parameters, means, squares, counts = tensors
    lr, beta1, beta2, weight_decay, eps, decoupled = numbers
    no_maxima = parameters[:0]
    torch._foreach_add_(counts, 1)
    if decoupled != 0:
        torch._fused_adamw_(
            parameters,
            gradients,
            means,
            squares,
            no_maxima,
            counts,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=weight_decay,
            eps=eps,
            amsgrad=False,
            maximize=False,
        )
    else:
        torch._fused_adam_(
            parameters,
            gradients,
            means,
            squares,
            no_maxima,
            counts,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=weight_decay,
            eps=eps,
            amsgrad=False,
            maximize=False,
        )


def _fused_adam_numbers(is_adamw: bool, group: dict[str, Any], counts: Sequence[int]) -> list[Numbers]:
    others = group["weight_decay"], group["eps"], _is_decay_decoupled(is_adamw, group)
    return [[float(number) for number in (group["lr"], *group["betas"], *others)]] * len(counts)


def _same(names: Sequence[str], group: dict[str, Any], counts: Sequence[int]) -> list[Numbers]:
    """Return the same list for each count: that of the hyperparameters with these names."""
    return [[float(group[name]) for name in names]] * len(counts)


@dataclass(frozen=True)
class UpdateKind:
    """The update of an optimizer class.

    Args:
        numbers: Returns the numbers of the updates of a parameter group with these counts. The first has count 1.
        states: Names of the optimizer's own state, whose lists of tensors follow the parameters.
        counts: Whether the optimizer counts updates, and `function` does not.
    """

    function: UpdateFunction
    numbers: Callable[[dict[str, Any], Sequence[int]], list[Numbers]]
    states: Sequence[str]
    counts: bool = True


_SGD_NUMBERS = partial(_same, ["lr", "weight_decay", "momentum", "dampening", "nesterov"])
_RMSPROP_NUMBERS = partial(_same, ["lr", "weight_decay", "alpha", "eps", "momentum"])

_ADAM, _ADAMW = (
    UpdateKind(_adam, partial(_adam_numbers, is_adamw), ["exp_avg", "exp_avg_sq"]) for is_adamw in (False, True)
)
PLAIN: dict[type[Optimizer], UpdateKind] = {
    SGD: UpdateKind(_sgd, _SGD_NUMBERS, ["momentum_buffer"], counts=False),
    Adam: _ADAM,
    AdamW: _ADAMW,
    RMSprop: UpdateKind(_rmsprop, _RMSPROP_NUMBERS, ["square_avg", "momentum_buffer"]),
    Adagrad: UpdateKind(_adagrad, _adagrad_numbers, ["sum"]),
}


# With `fused=true`, one kernel of torch's for all parameters. Its bits differ from those of the updates above.
_FUSED_ADAM, _FUSED_ADAMW = (
    UpdateKind(_fused_adam, partial(_fused_adam_numbers, is_adamw), ["exp_avg", "exp_avg_sq", "step"], counts=False)
    for is_adamw in (False, True)
)
FUSED: dict[type[Optimizer], UpdateKind] = {
    SGD: UpdateKind(_fused_sgd, _SGD_NUMBERS, ["momentum_buffer"], counts=False),
    Adam: _FUSED_ADAM,
    AdamW: _FUSED_ADAMW,
}
