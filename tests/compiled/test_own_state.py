"""Models with state or hooks of their own: no engine may make other numbers than eager steps in silence."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against_eager import ENGINES, FEATURES, ROWS, STEPS, check, sgd, train
from compiling import optimization
from torch import Tensor, nn, optim
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.checkpoint import checkpoint

from exp.engine import script_loop
from exp.engine.step import EagerStep, Step

__all__ = ["optimization"]  # a fixture


class Case(nn.Module):
    """A small network with a `forward` of the case."""

    def __init__(self, prepare: Callable[["Case"], Any], forward: Callable[["Case", Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last = nn.Linear(FEATURES, 5), nn.Linear(5, 1)
        self._forward = forward
        prepare(self)

    def hidden(self, x: Tensor) -> Tensor:
        return torch.tanh(self.first(x))

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def plain(net: Case, x: Tensor) -> Tensor:
    return net.last(net.hidden(x))


def nothing(_: Case) -> None: ...


calls = 0


def counts_globally(net: Case, x: Tensor) -> Tensor:
    global calls
    calls += 1
    return plain(net, x) * (1 if calls % 100 < 9 else 0.5)


def counts_in_a_closure() -> Callable[[Case, Tensor], Tensor]:
    made = 0

    def forward(net: Case, x: Tensor) -> Tensor:
        nonlocal made
        made += 1
        return plain(net, x) * (1 if made < 9 else 0.5)

    return forward


class Schedule:
    made = 0

    def next(self) -> float:
        self.made += 1
        return 1.0 if self.made < 9 else 0.5


class Helper:
    made = 0


def counts_on_another_class(net: Case, x: Tensor) -> Tensor:
    Helper.made += 1
    return plain(net, x) * (1 if Helper.made % 100 < 9 else 0.5)


class Reverse(torch.autograd.Function):
    made = 0

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        Reverse.made += 1
        return -gradients[0] * (1 if Reverse.made % 100 < 9 else 0.5)


def counts_on_a_parameter(net: Case, x: Tensor) -> Tensor:
    weight: Any = net.first.weight
    weight.seen = getattr(weight, "seen", 0) + 1
    return plain(net, x) * (1 if weight.seen < 9 else 0.5)


def keeps_a_row(net: Case, x: Tensor) -> Tensor:
    net.kept[0] *= 0.9  # through a view
    net.kept[0] += x.detach().mean(0)
    return plain(net, x - net.kept[0])


def draws_globally(net: Case, x: Tensor) -> Tensor:
    return plain(net, x) * float(np.random.rand())


def writes_into_its_batch(net: Case, x: Tensor) -> Tensor:
    x[:, 0] *= 2
    return plain(net, x)


# What prepares a model, its forward, and what it changes.
STATE: dict[str, tuple[Callable[[Case], Any], Callable[[Case, Tensor], Tensor], str]] = {
    "a global counter": (nothing, counts_globally, "the global variable calls"),
    "a counter in a closure": (nothing, counts_in_a_closure(), "_forward of Case"),
    "an iterator": (
        lambda net: setattr(net, "cycle", itertools.cycle([*[1.0] * 8, 0.5])),
        lambda net, x: plain(net, x) * next(net.cycle),
        "cycle of Case",
    ),
    "an object": (
        lambda net: setattr(net, "schedule", Schedule()),
        lambda net, x: plain(net, x) * net.schedule.next(),
        "schedule of Case",
    ),
    "a generator of NumPy": (
        lambda net: setattr(net, "rng", np.random.default_rng(0)),
        lambda net, x: plain(net, x) if net.rng.random() < 0.9 else plain(net, x * 2),
        "rng of Case",
    ),
    "an array": (
        lambda net: setattr(net, "array", np.ones(1)),
        lambda net, x: (net.array.__imul__(1.1), plain(net, x) * (1 if net.array[0] < 2 else 2))[1],
        "array of Case",
    ),
    "a class that the model only uses": (nothing, counts_on_another_class, "made of Helper"),
    "a custom function": (nothing, lambda net, x: net.last(Reverse.apply(net.hidden(x))), "made of Reverse"),
    "an attribute of a parameter": (nothing, counts_on_a_parameter, "weight of Linear"),
    "the stream of NumPy": (nothing, draws_globally, "the random state of NumPy"),
}


@pytest.mark.parametrize("case", STATE)
def test_state_that_a_replayed_step_would_not_change(case: str):
    prepare, forward, changed = STATE[case]

    def make() -> nn.Module:
        global calls
        calls = Helper.made = Reverse.made = 0
        return Case(prepare, copy.copy(forward) if "closure" not in case else counts_in_a_closure())

    reason = f"engine=eager: each step changes {changed}, which a replayed step would not"
    assert check(make) == {"replay": reason, "compiled": reason}


class CountsModes(Case):
    modes = 0

    def train(self, mode: bool = True) -> nn.Module:
        self.modes += 1
        return super().train(mode)


class Frozen(Case):
    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self.first.eval()
        return self


def test_state_that_changes_between_steps():
    counted = lambda: CountsModes(nothing, lambda net, x: plain(net, x) / net.modes)  # type: ignore[operator]  # noqa: E731
    reason = "engine=eager: modes of CountsModes changes between steps, which a replayed step would not see"
    assert set(check(counted).values()) == {reason}
    assert check(lambda: Frozen(nothing, plain)) == {"replay": "replay", "compiled": "compiled"}


def test_a_tensor_that_is_changed_through_a_view():
    make = lambda: Case(lambda net: setattr(net, "kept", torch.zeros(2, FEATURES)), keeps_a_row)  # noqa: E731
    assert check(make)["replay"] == "replay"
    assert check(make)["compiled"] == "engine=replay: it writes into a constant or a part of a tensor"


def test_a_step_that_writes_into_its_batch():
    reason = "engine=eager: the step cannot be captured: it writes into its batch"
    assert set(check(lambda: Case(nothing, writes_into_its_batch)).values()) == {reason}


def whitened(net: Case, x: Tensor) -> Tensor:
    """It fails on rows of zeros, which have no covariance."""
    factor = torch.linalg.cholesky(x.T @ x)
    return plain(net, torch.linalg.solve_triangular(factor, x.T, upper=False).T)


def asserting(net: Case, x: Tensor) -> Tensor:
    torch._assert_async((x != 0).any(), "no rows")
    return plain(net, x)


def looking_up(net: Case, x: Tensor) -> Tensor:
    return net.last(net.hidden(x) + F.embedding(9 * (x[:, 0] == 0), net.first.weight.T))


def of_probabilities(net: Case, x: Tensor) -> Tensor:
    return plain(net, x) + F.binary_cross_entropy(net.hidden(x).sigmoid(), 0.5 + (x[:, :1] == 0).expand(-1, 5))


@pytest.mark.parametrize(
    ("forward", "engine", "message"),
    [
        (looking_up, "compiled", "^index out of range in self"),
        pytest.param(
            of_probabilities,
            "compiled",
            "^all elements of (target|input) should be between 0 and 1",
            marks=pytest.mark.slow,
        ),
        (whitened, "engine=replay: the operator _linalg_check_errors is not compiled", "not positive-definite"),
        pytest.param(
            asserting, "engine=replay: the operator _assert_async is not compiled", "no rows", marks=pytest.mark.slow
        ),
    ],
)
def test_checks_of_values_fail_at_the_same_step(
    forward: Callable[[Case, Tensor], Tensor], engine: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    assert check(lambda: Case(nothing, forward)) == {"replay": "replay", "compiled": engine}
    for steps_before_script in (0, 10_000):
        monkeypatch.setattr(script_loop, "_STEPS_BEFORE_SCRIPT", steps_before_script)
        for make in (lambda eager: eager, *ENGINES.values()):  # type: ignore[misc]
            with pytest.raises((RuntimeError, IndexError), match=message):
                train(Case(nothing, forward), make, sgd, empty=1)


def not_a_number(net: Case, x: Tensor) -> Tensor:
    net.count += 1
    return plain(net, x) + (0 * x.detach() / x.abs().sum()).sum()


def test_a_step_whose_loss_is_not_a_number_is_made_once():
    def prepare(net: Case) -> None:
        net.register_buffer("count", torch.zeros(()))

    def run(make: Callable[[EagerStep], Step]) -> Tensor:
        return torch.cat([one.flatten() for one in train(Case(prepare, not_a_number), make, sgd, empty=1)[1]])

    expected = run(lambda eager: eager)
    assert expected.isnan().any()
    for make in ENGINES.values():
        torch.testing.assert_close(run(make), expected, rtol=1e-4, atol=1e-6, equal_nan=True)


def halve(gradient: Tensor) -> Tensor:
    return gradient * 0.5


def halve_in_place(parameter: Tensor) -> None:
    assert parameter.grad is not None
    parameter.grad *= 0.5


def halve_output(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    return output * 0.5


HOOKS: dict[str, tuple[Callable[[Case], Any], str]] = {
    "of a gradient": (lambda net: net.first.weight.register_hook(halve), "parameter first.weight"),
    "after accumulation": (
        lambda net: net.first.weight.register_post_accumulate_grad_hook(halve_in_place),
        "parameter first.weight",
    ),
    "forward": (lambda net: net.first.register_forward_hook(halve_output), "module first"),
    "before forward": (lambda net: net.register_forward_pre_hook(lambda _, x: (x[0] * 2,)), "module Case"),
    "backward": (
        lambda net: net.last.register_full_backward_hook(lambda _, g, __: tuple(one * 0.5 for one in g)),
        "module last",
    ),
    "before backward": (
        lambda net: net.last.register_full_backward_pre_hook(lambda _, g: tuple(one * 0.5 for one in g)),
        "module last",
    ),
}


@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_are_called_at_every_step(kind: str):
    prepare, whose = HOOKS[kind]
    reason = f"engine=eager: {whose} has a hook, which a replayed step would not call"
    assert set(check(lambda: Case(prepare, plain)).values()) == {reason}


def test_a_hook_of_all_modules():
    handle = nn.modules.module.register_module_forward_hook(halve_output)
    try:
        reason = "engine=eager: every module has a hook, which a replayed step would not call"
        assert set(check(lambda: Case(nothing, plain)).values()) == {reason}
    finally:
        handle.remove()


@pytest.mark.parametrize("everywhere", [False, True])
def test_step_hooks_of_optimizers(everywhere: bool):
    def shrink(optimizer: optim.Optimizer, *_: Any) -> None:
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.mul_(0.9)

    def optimizer(parameters: Any) -> optim.Optimizer:
        made = sgd(parameters)
        if not everywhere:
            made.register_step_pre_hook(shrink)
        return made

    handle = register_optimizer_step_pre_hook(shrink) if everywhere else None
    try:
        reason = "engine=replay: the optimizer SGD has a step hook, which a compiled step would not call"
        assert check(lambda: Case(nothing, plain), optimizer) == {"replay": "replay", "compiled": reason}
    finally:
        if handle is not None:
            handle.remove()


def plain_script(model: nn.Module) -> list[Tensor]:
    """The losses and parameters of the loop that a person would write."""
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(STEPS, ROWS, FEATURES, generator=generator)
    ys = torch.randn(STEPS, ROWS, 1, generator=generator)
    optimizer, losses = sgd(model.parameters()), list[Tensor]()
    for x, y in zip(xs, ys, strict=True):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return [torch.stack(losses), *model.state_dict().values()]


@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_have_the_effect_of_a_plain_script(kind: str):
    prepare, _ = HOOKS[kind]
    _, ours = train(Case(prepare, plain), lambda eager: eager, sgd)
    for one, other in zip(ours, plain_script(Case(prepare, plain)), strict=True):
        assert torch.equal(one, other)


def freezes(net: Case, x: Tensor) -> Tensor:
    net.made += 1  # type: ignore[operator]
    net.first.requires_grad_(net.made % 3 == 1)
    return plain(net, x)


def test_a_model_that_freezes_its_parameters_in_some_steps():
    make = lambda: Case(lambda net: setattr(net, "made", 0), freezes)  # noqa: E731
    reason = "engine=eager: each step changes made of Case, which a replayed step would not"
    assert set(check(make).values()) == {reason}
    for one, other in zip(train(make(), lambda eager: eager, sgd)[1], plain_script(make()), strict=True):
        assert torch.equal(one, other)


def checkpointed(net: Case, x: Tensor) -> Tensor:
    return net.last(checkpoint(lambda rows: torch.dropout(net.hidden(rows), 0.3, True), x, use_reentrant=False))


def test_a_step_that_sets_the_state_of_the_random_generator():
    reason = "engine=eager: the model sets the state of torch's random generator (checkpoint, manual_seed)"
    assert set(check(lambda: Case(nothing, checkpointed)).values()) == {reason}
