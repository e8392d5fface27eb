"""What torch computes in another way while calls are recorded: with other bits, or without a check of the values.

In a dispatch mode, torch's C++ takes every tensor for one of a subclass (areAnyTensorSubclassLike): it neither reads
its values nor writes into it. FunctionsManual.cpp asks so, and functions that are made of others do. Most of these ways
give the same bits; here are those that do not.
"""

# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportAttributeAccessIssue=false
import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._ops import OpOverload

_ATEN = torch.ops.aten

# Operators with another derivative, because the usual one reads values. Each has the place of the argument that it is
# the derivative by.
_DERIVATIVES: dict[OpOverload, int] = {
    **{operator.default: 0 for operator in (_ATEN.max, _ATEN.min, _ATEN.median, _ATEN.nanmedian)},  # of all values
    **{operator.default: 0 for operator in (_ATEN.prod, _ATEN.cumprod, _ATEN.cumprod_, _ATEN._linalg_det)},
    _ATEN.prod.dim_int: 0,
    _ATEN.masked_fill.Tensor: 2,
    _ATEN.masked_fill_.Tensor: 2,
    _ATEN.linalg_eig.default: 0,  # eigenvectors are complex: it checks that the loss does not depend on their phase
}

# Functions of singular values or eigenvalues alone. They compute the vectors too, which changes the values.
_OF_VALUES = ("svdvals", "eigvals", "eigvalsh", "cond", "matrix_rank", "matrix_norm", "norm", "nuclear_norm")


def has_other_derivative(operator: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether the operator's derivative, which will be computed, is another one while calls are recorded."""
    if not torch.is_grad_enabled():
        return False
    if operator is _ATEN.binary_cross_entropy_with_logits.default:  # computed in the wider type, or in that of args[0]
        tensors = [one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)]
        return any(one.requires_grad for one in tensors) and len({one.dtype for one in tensors}) > 1
    if operator is _ATEN._linalg_eigh.default:
        return args[0].is_complex() and args[0].requires_grad
    place = _DERIVATIVES.get(operator)
    return place is not None and args[place].requires_grad


def computes_vectors(operator: OpOverload, args: tuple[Any, ...]) -> bool:
    """Return whether the call computes vectors for which a function of the values alone has no use."""
    if operator not in (_ATEN._linalg_svd.default, _ATEN._linalg_eigh.default, _ATEN.linalg_eig.default):
        return False
    return not (args[0].requires_grad and torch.is_grad_enabled())


def is_of_values(function: Any) -> bool:
    """Return whether it is a function of singular values or eigenvalues alone."""
    return getattr(function, "__name__", "").removeprefix("linalg_") in _OF_VALUES


def find_other_way(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return what a call of a function of torch computes in another way; None: nothing, as far as this shows.

    Call it where calls are not recorded.
    """
    if getattr(function, "__name__", "") == "_make_dual":
        # The derivatives of norms. In torch.func.jvp, torch takes tensors for subclasses anyway.
        return None if torch._C._functorch.peek_interpreter_stack() else "forward-mode derivatives"
    if function is F.cross_entropy and _has_ignored_rows(args, kwargs):
        return "cross_entropy with weights, smoothing and ignored rows"
    return None


def _has_ignored_rows(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether the weights of the rows that count are added in another order: there are others.

    A class that is ignored may be in later batches. exp numbers classes from 0, so a negative number, such as the
    default of ignore_index, is in none unless the user's loss writes it.
    """
    bound = inspect.signature(F.cross_entropy).bind(*args, **kwargs)
    bound.apply_defaults()
    given = bound.arguments
    if given["weight"] is None or not given["label_smoothing"] or given["target"].is_floating_point():
        return False
    return given["ignore_index"] >= 0 or bool((given["target"] == given["ignore_index"]).any())
