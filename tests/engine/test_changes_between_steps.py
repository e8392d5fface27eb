"""What code of the user's, such as a schedule or a sink, changes between steps has the effect of eager steps."""

import copy
from collections.abc import Callable
from functools import lru_cache

import pytest
import torch
from against_eager import ENGINES
from compiling import optimization, own_cache
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn, optim

from exp.data.stack import Stack
from exp.engine.step import EagerStep, Step

__all__ = ["optimization"]  # a fixture

CHANGED_AT, STEPS = 14, 22

Change = Callable[[EagerStep], object]


def train(make: Callable[[EagerStep], Step], change: Change, optimizer: Callable[..., optim.Optimizer]) -> list[Tensor]:
    """Return the losses, and the parameters at the end. The model is torch's alone: its attributes are not read."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))
    eager = EagerStep(model, nn.MSELoss(), optimizer(model.parameters()))
    step, losses = make(eager), list[Tensor]()
    with torch.no_grad(), own_cache():
        for number in range(STEPS):
            if number == CHANGED_AT:
                change(eager)
            losses += step([Stack.of(torch.randn(1, 6, 4), torch.randn(1, 6, 1))]).losses
    return [torch.cat(losses), *model.parameters()]


def reset_state(eager: EagerStep) -> None:
    for state in eager.optimizer.state.values():
        state.update({name: torch.zeros_like(value) for name, value in state.items()})


def train_one_group_more(eager: EagerStep) -> None:
    last = eager.optimizer.param_groups[0]["params"].pop(0)
    eager.optimizer.add_param_group({"params": [last], "lr": 0.001})


CHANGES: dict[str, Change] = {
    "a cleared state": lambda eager: eager.optimizer.state.clear(),
    "a state of other tensors": reset_state,
    "a loaded state": lambda eager: eager.optimizer.load_state_dict(copy.deepcopy(eager.optimizer.state_dict())),
    "an option": lambda eager: eager.optimizer.param_groups[0].update(maximize=True, lr=0.001),
    "a step hook": lambda eager: eager.optimizer.register_step_post_hook(
        lambda one, *_: one.param_groups[0]["params"][0].mul_(0.5)
    ),
    "another group": train_one_group_more,
    "a hook of a module": lambda eager: eager.model[0].register_forward_hook(lambda _, __, out: out * 0.5),  # type: ignore[index]
    "a hook of a parameter": lambda eager: eager.parameters[0].register_hook(lambda gradient: gradient * 0.5),
}
OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "momentum": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adam": lambda parameters: optim.Adam(parameters, lr=0.01),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_steps_has_its_effect(change: str, optimizer: str):
    expected = train(lambda eager: eager, CHANGES[change], OPTIMIZERS[optimizer])
    unchanged = train(lambda eager: eager, lambda _: None, OPTIMIZERS[optimizer])
    assert change == "a loaded state" or not torch.equal(expected[1], unchanged[1])
    for engine, make in ENGINES.items():
        bound = {"rtol": 0.0, "atol": 0.0} if engine == "replay" else {"rtol": 1e-4, "atol": 1e-6}
        torch.testing.assert_close(train(make, CHANGES[change], OPTIMIZERS[optimizer]), expected, **bound)


@lru_cache
def positions(rows: int) -> Tensor:
    return torch.arange(rows).reshape(-1, 1) / 10


class WithTables(nn.Linear):
    """A layer that adds the position of each row, from tables that it makes once for each number of rows."""

    def __init__(self) -> None:
        super().__init__(4, 1)
        self.tables: dict[int, Tensor] = {}

    def forward(self, input: Tensor) -> Tensor:
        self.tables.setdefault(len(input), torch.ones(len(input), 1))
        return super().forward(input) + positions(len(input)) * self.tables[len(input)]


def test_tables_that_a_model_makes_for_each_size_of_a_batch():
    trained: list[list[Tensor]] = []
    for make in (lambda eager: eager, *ENGINES.values()):
        positions.cache_clear()
        torch.manual_seed(0)
        model = WithTables()
        step, losses = make(EagerStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))), list[Tensor]()
        with torch.no_grad(), own_cache():
            for rows in [*[6] * 5, 3] * 6:
                losses += step([Stack.of(torch.randn(1, rows, 4), torch.randn(1, rows, 1))]).losses
        assert not [note for note in step.notes if "is in use" in note]
        trained.append([torch.cat(losses), *model.parameters()])
    torch.testing.assert_close(trained[1], trained[0], rtol=0, atol=0)
    torch.testing.assert_close(trained[2], trained[0], rtol=1e-4, atol=1e-6)


class Shorter(nn.Sequential):
    """A model that leaves out a layer for small batches, whose parameters then get no gradient."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 1))

    def forward(self, input: Tensor) -> Tensor:
        hidden = self[0](input)
        return self[2](self[1](hidden) if len(input) > 3 else hidden)


@pytest.mark.parametrize("short", [{0}, {1}, {14}, {14, 17}])
def test_a_layer_that_some_batches_do_not_use(short: set[int]):
    """The optimizer has counted fewer updates of its parameters, from the first such batch on."""
    trained: list[list[Tensor]] = []
    for make in (lambda eager: eager, *ENGINES.values()):
        torch.manual_seed(0)
        model = Shorter()
        step, losses = make(EagerStep(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.01))), list[Tensor]()
        with torch.no_grad(), own_cache():
            for number in range(STEPS):
                rows = 3 if number in short else 6
                losses += step([Stack.of(torch.randn(1, rows, 4), torch.randn(1, rows, 1))]).losses
        trained.append([torch.cat(losses), *model.parameters()])
    torch.testing.assert_close(trained[1], trained[0], rtol=0, atol=0)
    torch.testing.assert_close(trained[2], trained[0], rtol=1e-4, atol=1e-6)


class Sizes(nn.Module):
    """A model that does something else for batches of another size, or keeps something between them."""

    def __init__(self, parts: frozenset[str]) -> None:
        super().__init__()
        self.parts, self.tables, self.largest, self.short = parts, dict[int, Tensor](), 0, 0
        self.first, self.middle, self.last = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 1)
        self.register_buffer("mean", torch.zeros(5))

    def forward(self, x: Tensor) -> Tensor:
        hidden, rows = self.first(x), len(x)
        if "a layer for large batches" not in self.parts or rows > 3:
            hidden = self.middle(hidden)
        if "a random table" in self.parts:
            hidden = hidden + self.tables.setdefault(rows, torch.randn(rows, 1))
        if "the largest size" in self.parts:
            self.largest = max(self.largest, rows)
            hidden = hidden * self.largest
        if "a count of small batches" in self.parts:
            self.short += rows <= 3
            hidden = hidden * (1 + self.short)
        if "a mean" in self.parts:
            self.mean.mul_(0.9).add_(hidden.detach().mean(0), alpha=0.1)
            hidden = hidden - self.mean
        return self.last(torch.tanh(hidden))


PARTS = ["a layer for large batches", "a random table", "the largest size", "a count of small batches", "a mean"]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    st.frozensets(st.sampled_from(PARTS), min_size=1, max_size=3),
    st.lists(st.sampled_from([6, 6, 6, 5, 3]), min_size=8, max_size=24),
    st.sampled_from([optim.Adam, optim.RMSprop, optim.NAdam]),
    st.integers(1, 4),
)
def test_batches_of_any_sizes_in_any_order(
    parts: frozenset[str], sizes: list[int], optimizer: type[optim.Optimizer], at_once: int
):
    trained: list[list[Tensor]] = []
    for make in (lambda eager: eager, ENGINES["replay"]):
        torch.manual_seed(0)
        model = Sizes(parts)
        step, losses = make(EagerStep(model, nn.MSELoss(), optimizer(model.parameters()))), list[Tensor]()
        stacks = [Stack.of(torch.randn(1, rows, 4), torch.randn(1, rows, 1)) for rows in sizes]
        with torch.no_grad():
            for start in range(0, len(stacks), at_once):
                losses += step(stacks[start : start + at_once]).losses
        trained.append([torch.cat(losses), *model.state_dict().values(), torch.get_rng_state()])
    torch.testing.assert_close(trained[1], trained[0], rtol=0, atol=0)
