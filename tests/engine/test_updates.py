"""Fused updates differ from the default ones by rounding only."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn, optim

from exp.engine.update_functions import FUSED as FUSED_KINDS
from exp.engine.update_functions import PLAIN, UpdateKind
from exp.engine.updates import make_update

FUSED = {
    "sgd": lambda p, fused: optim.SGD(p, lr=0.1, fused=fused),
    "momentum": lambda p, fused: optim.SGD(p, lr=0.1, momentum=0.9, fused=fused),
    "nesterov": lambda p, fused: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, fused=fused),
    "adam": lambda p, fused: optim.Adam(p, lr=0.01, weight_decay=0.01, fused=fused),
    "adamw": lambda p, fused: optim.AdamW(p, lr=0.01, fused=fused),
    "adagrad": lambda p, fused: optim.Adagrad(p, lr=0.01, fused=fused),
}


@pytest.mark.parametrize("optimizer", FUSED.values(), ids=FUSED)
@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(-6, 3))
def test_a_fused_update_differs_from_the_default_one_by_rounding_only(
    optimizer: Callable[..., optim.Optimizer], seed: int, scale: int
):
    """From the same state, each result is within 8 roundings of float32, 1e-6, of the numbers it was summed from."""
    generator = torch.Generator().manual_seed(seed)
    plain, fused = (nn.Parameter(torch.randn(50, generator=generator)) for _ in range(2))
    first, second = optimizer([plain], None), optimizer([fused], True)
    for _ in range(5):
        with torch.no_grad():
            fused.copy_(plain)
        second.load_state_dict(
            copy.deepcopy(first.state_dict()) | {"param_groups": second.state_dict()["param_groups"]}
        )
        gradient = torch.randn(50, generator=generator) * 10.0**scale
        plain.grad, fused.grad = gradient, gradient.clone()
        if isinstance(first, optim.SGD):
            pull = gradient.abs() + first.state[plain].get("momentum_buffer", torch.zeros(50)).abs()
        else:
            pull = 4.0  # the other optimizers divide by the magnitude of the gradients
        summed = plain.detach().abs() + first.param_groups[0]["lr"] * pull
        first.step()
        bare = make_update(second) if second.state[fused] else None
        if bare is None:
            second.step()
        else:
            bare.prepare(1)([fused.grad])
        assert ((plain - fused).detach().abs() <= 8 * 2.0**-23 * summed).all()


@pytest.mark.parametrize("kinds", [PLAIN, FUSED_KINDS], ids=["plain", "fused"])
@pytest.mark.parametrize("optimizer", [optim.Adam, optim.AdamW])
def test_adam_and_adamw_of_torch_2_6_whose_groups_do_not_tell_them_apart(
    kinds: dict[type[optim.Optimizer], UpdateKind], optimizer: type[optim.Optimizer]
):
    (group,) = optimizer([nn.Parameter(torch.ones(1))], lr=0.1, weight_decay=0.2).param_groups  # pyright: ignore
    older = {key: value for key, value in group.items() if key != "decoupled_weight_decay"}
    assert kinds[optimizer].numbers(older, [1]) == kinds[optimizer].numbers(group, [1])
