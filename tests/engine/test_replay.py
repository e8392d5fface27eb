"""A replayed step gives the bits of the eager step, or falls back to it and gives the reason."""

import copy
import gc
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby, islice, product

import numpy as np
import pytest
import torch
from conftest import config_of, one_in
from torch import Tensor, nn, optim

from exp.data.stack import Stack
from exp.engine import script_loop
from exp.engine.program import write_program
from exp.engine.python_loop import PythonLoop
from exp.engine.recorded_step import RecordedSteps
from exp.engine.replay import ReplayStep
from exp.engine.step import EagerStep, StepOutputs
from exp.engine.trace import Trace
from exp.engine.updates import BareUpdate, NoUpdate, make_update
from exp.training.build import build
from exp.training.loop import Training

Batches = list[tuple[Tensor, Tensor]]


def batches(steps: int = 30, short: int | None = 3) -> Batches:
    """Batches of 8 rows; every third has `short` rows."""
    generator = torch.Generator().manual_seed(0)
    sizes = [short if short and step % 3 == 2 else 8 for step in range(steps)]
    return [(torch.randn(n, 5, generator=generator), torch.rand(n, 1, generator=generator).round()) for n in sizes]


def mlp(*between: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 6), *between, nn.Tanh(), nn.Linear(6, 1))


def stack_of(x: Tensor, y: Tensor) -> Stack:
    return Stack.of(x.unsqueeze(0), y.unsqueeze(0))


def stacks_of(batches: Iterable[tuple[Tensor, Tensor]], longest: int = 2) -> Iterator[Stack]:
    """Stacks of up to `longest` batches of one size, in order."""
    for _, equal in groupby(batches, key=lambda batch: len(batch[0])):
        while some := list(islice(equal, longest)):
            yield Stack.of(torch.stack([x for x, _ in some]), torch.stack([y for _, y in some]))


def compare_with_eager(
    model: nn.Module,
    optimizer: Callable[..., optim.Optimizer] = lambda p: optim.SGD(p, lr=0.1),
    criterion: nn.Module | None = None,
    clip: float | None = None,
    feed: Batches | None = None,
    device: str = "cpu",
    seeded: object = None,
    one_by_one: bool = False,
    between: Callable[[optim.Optimizer, int], None] | None = None,
    longest: int = 2,
) -> ReplayStep:
    """Train with eager steps and in both loops of replayed ones; compare every loss, output and state to the bit.

    `between` is called before each step. A stack has at most `longest` batches.
    """
    feed = [(x.to(device), y.to(device)) for x, y in feed or batches()]
    criterion = criterion or nn.BCEWithLogitsLoss()
    ends, replayed = [], []
    for engine, steps_before_script in (("eager", 0), ("replay", sys.maxsize), ("replay", 0)):
        twin = copy.deepcopy(model).to(device)
        step = EagerStep(twin, copy.deepcopy(criterion), optimizer(twin.parameters()), clip)
        if engine == "replay":
            replayed.append(ReplayStep(step, RecordedSteps()))
        torch.manual_seed(1)
        np.random.seed(1)
        random.setstate(seeded or random.getstate())  # type: ignore[arg-type]

        def fed(twin_optimizer: optim.Optimizer) -> Iterator[Stack]:
            for i, stack in enumerate(stacks_of(feed, 1 if between else longest)):
                if between:
                    between(twin_optimizer, i)
                yield stack

        steps = replayed[-1] if engine == "replay" else step
        with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(script_loop, "_STEPS_BEFORE_SCRIPT", steps_before_script)
            outputs = StepOutputs()
            if one_by_one:
                for stack in fed(step.optimizer):
                    outputs.extend(steps([stack]))
            else:
                outputs = steps(fed(step.optimizer))
        results = torch.cat(outputs.losses), torch.cat(outputs.outputs)
        ends.append((*results, twin.state_dict(), step.optimizer.state_dict(), torch.get_rng_state()))
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=0)
    torch.testing.assert_close(ends[2], ends[0], rtol=0, atol=0)
    assert replayed[0].fallback_reason == replayed[1].fallback_reason
    return replayed[1]


def is_replayed(step: ReplayStep, *sizes: int, scripted: bool = True) -> bool:
    """Whether batches of `sizes` rows, and of no other size, are replayed, and TorchScript has refused no loop."""
    assert scripted == (not [note for note in step.notes if "slower" in note])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script_loop, "_STEPS_BEFORE_SCRIPT", 0)
        ways = {size: step._choose(stack_of(torch.empty(size, 1), torch.empty(size, 1)))[0] for size in range(1, 65)}
    return {size for size, way in ways.items() if isinstance(way, partial) and way.func == step._replay} == set(sizes)


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "decay": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "dampening": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "adam with decay": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01),
    "rmsprop with all": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, weight_decay=0.1),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1, weight_decay=0.1),
    "fused sgd": lambda p: optim.SGD(p, lr=0.1, fused=True),
    "fused nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True),
    "fused adam": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1, fused=True),
    "fused adamw": lambda p: optim.AdamW(p, lr=0.1, fused=True),
    # Without a bare update.
    "amsgrad": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "centered": lambda p: optim.RMSprop(p, lr=0.01, centered=True),
    "maximize": lambda p: optim.SGD(p, lr=0.01, maximize=True),
    "nadam": lambda p: optim.NAdam(p),
    "fused adagrad": lambda p: optim.Adagrad(p, lr=0.1, fused=True),
    "rprop": lambda p: optim.Rprop(p),
}

MODELS = {
    "linear": lambda: nn.Linear(5, 1),
    "mlp": mlp,
    "dropout": lambda: mlp(nn.Dropout(0.4)),
    "batch norm": lambda: mlp(nn.BatchNorm1d(6), nn.Dropout(0.2)),
    "layer norm": lambda: mlp(nn.LayerNorm(6), nn.GELU()),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(9, 1)
    ),
}


@pytest.mark.parametrize(
    ("optimizer", "model"), [*product(OPTIMIZERS, ["mlp"]), *one_in(2, product(["sgd", "adam"], MODELS))]
)
def test_replayed_steps_give_the_bits_of_eager_steps(optimizer: str, model: str):
    torch.manual_seed(0)
    assert is_replayed(compare_with_eager(MODELS[model](), OPTIMIZERS[optimizer]), 8, 3)


class OfOneElement(nn.MSELoss):
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return super().forward(input, target).reshape(1, 1)


LOSSES = [nn.BCEWithLogitsLoss(), nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.SmoothL1Loss(), OfOneElement()]


@pytest.mark.parametrize(
    ("criterion", "clip"),
    [
        pytest.param(criterion, clip, marks=() if (number + place) % 2 else pytest.mark.slow)
        for number, criterion in enumerate(LOSSES)
        for place, clip in enumerate((None, 0.05))
    ],
)
def test_every_loss_with_and_without_clipping(criterion: nn.Module, clip: float | None):
    assert is_replayed(compare_with_eager(mlp(), criterion=criterion, clip=clip), 8, 3)


def test_a_classification_loss():
    feed = [(x, y.squeeze(1).long()) for x, y in batches()]
    net = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    assert is_replayed(compare_with_eager(net, criterion=nn.CrossEntropyLoss(label_smoothing=0.1), feed=feed), 8, 3)


def test_a_changed_learning_rate_takes_effect():
    def schedule(optimizer: optim.Optimizer, step: int) -> None:
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)

    for optimizer in ("nesterov", "adam", "rmsprop", "adagrad"):
        assert is_replayed(compare_with_eager(mlp(), OPTIMIZERS[optimizer], between=schedule), 8, 3)


class Odd(nn.Module):
    """A linear layer whose forward depends on what a trace cannot show."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 1)
        self.unused = nn.Parameter(torch.ones(2))
        self.how = how
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.how == "counts"
        output = self.linear(x)
        if self.how == "branches on data" and output.sum() > 0:
            output = output * 2
        if self.how == "counts":
            output = output * self.calls
        if self.how == "masks":
            output = output + x[x.sum(1) > 0].sum()
        return output


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("branches on data", "reads the values of a tensor"),
        ("masks", "reads the values of a tensor"),
        ("counts", "each step changes calls of Odd, which a replayed step would not"),
    ],
)
def test_a_step_that_cannot_be_captured_falls_back_with_a_reason(how: str, reason: str):
    step = compare_with_eager(Odd(how))
    assert is_replayed(step)
    assert reason in str(step.fallback_reason)


def test_a_parameter_that_the_loss_does_not_depend_on():
    assert is_replayed(compare_with_eager(Odd("plain")), 8, 3)


def test_lbfgs_falls_back_with_a_reason():
    step = compare_with_eager(mlp(), lambda p: optim.LBFGS(p, lr=0.1, max_iter=4), feed=batches(6, None))
    assert step.fallback_reason == "LBFGS computes gradients several times a step"


def test_constants_and_views_are_folded():
    """A replayed linear layer does not transpose its weight or its gradient at every step."""
    model, criterion = nn.Linear(5, 1), nn.MSELoss()
    step = EagerStep(model, criterion, optim.SGD(model.parameters(), lr=0.1))
    x, y = batches(1)[0]
    with Trace() as trace:
        results = step.compute_gradients(x, y)
    loop = PythonLoop(write_program(trace.calls, x, y, step.parameters, results))
    with Trace() as replayed, torch.no_grad():
        loop.run(stack_of(x, y), NoUpdate())
    names = [call.operator._schema.name.removeprefix("aten::") for call in replayed.calls]
    names = [name for name in names if name not in ("slice", "unsqueeze", "unbind", "stack")]  # of the loop
    assert names == ["addmm", "mse_loss", "mse_loss_backward", "mm", "sum"]


def test_values_are_released_after_their_last_use():
    model = nn.Sequential(*(layer for _ in range(20) for layer in (nn.Linear(50, 50), nn.ReLU())), nn.Linear(50, 1))
    step = EagerStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    x, y = torch.randn(4, 50), torch.randn(4, 1)
    with Trace() as trace:
        results = step.compute_gradients(x, y)
    loop = PythonLoop(write_program(trace.calls, x, y, step.parameters, results))
    losses, outputs, gradients = loop.run(stack_of(x, y), NoUpdate())
    for ours, theirs in zip([losses[0], outputs, *gradients], [*results[:2], *results[2]], strict=True):
        assert torch.equal(ours, theirs)


class Sparse(nn.Module):
    """A linear layer after a sparse one, whose tensors have no storage."""

    def __init__(self) -> None:
        super().__init__()
        self.mixing = torch.eye(5).to_sparse()
        self.linear = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.sparse.mm(self.mixing, x.t()).t())


def test_an_error_while_compiling_falls_back():
    assert "the step cannot be captured" in str(compare_with_eager(Sparse()).fallback_reason)


class Case(nn.Module):
    """A linear layer in a `forward` given by the case."""

    def __init__(self, forward: Callable[..., Tensor], **buffers: Tensor) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(5, 1), nn.BatchNorm1d(5)
        self.a, self.b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
        self.kept, self.count = torch.zeros(5), 0
        self.own = torch.Generator().manual_seed(3)
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def keeps_a_mean(net: Case, x: Tensor) -> Tensor:
    net.kept = 0.9 * net.kept + 0.1 * x.mean(0)
    return net.linear(x - net.kept)


def fills_a_bank(net: Case, x: Tensor) -> Tensor:
    net.bank = torch.cat([net.bank, x])[-64:]
    return net.linear(x) + net.bank.mean()


def counts(net: Case, x: Tensor) -> Tensor:
    net.count += 1
    return net.linear(x) * (1 if net.count <= 10 else 0.5)


HARD: dict[str, tuple[Callable[..., Tensor], str | None]] = {
    "some batches use a layer": (lambda net, x: net.linear(net.norm(x) if len(x) > 3 else x), None),
    "a norm that only watches": (lambda net, x: net.linear(x) + 0 * net.norm(x).detach().sum(), None),
    "two parameters with one gradient": (lambda net, x: net.linear(x) * (net.a + net.b), None),
    "an expanded gradient": (lambda net, x: net.linear(x) + net.a.sum() + net.norm.weight.sum(), None),
    "in place": (lambda net, x: net.linear(x.clone().mul_(0.5).clamp_(min=0)), None),
    "split": (lambda net, x: net.linear(torch.cat(torch.split(x, [5], 1)).relu()), None),
    "a mean kept as an attribute": (keeps_a_mean, "each step changes kept of Case"),
    "a buffer that grows": (fills_a_bank, "each step changes bank of Case"),
    "a counter": (counts, "each step changes count of Case"),
    "Python's random numbers": (
        lambda net, x: net.linear(x if random.random() < 0.1 else x.tanh()),
        "each step changes the state of random",
    ),
    "numpy's random numbers": (
        lambda net, x: net.linear(x) * np.random.rand(),
        "each step changes the random state of NumPy",
    ),
    "tolist": (
        lambda net, x: net.linear(x) * (0.5 if x.tolist()[0][0] > 1 else 1),
        "reads the values of a tensor (by tolist)",
    ),
    "numpy": (
        lambda net, x: net.linear(x) * (0.5 if x.numpy().max() > 2 else 1),
        "reads the values of a tensor (by numpy)",
    ),
    "a generator of its own": (
        lambda net, x: net.linear(x + torch.randn(x.shape, generator=net.own)),
        "draws from a random generator of its own",
    ),
}


@pytest.mark.parametrize(("case", "optimizer"), one_in(2, product(HARD, ["sgd", "adam", "nadam"])))
def test_hard_cases_give_the_eager_bits_or_fall_back(case: str, optimizer: str):
    forward, reason = HARD[case]
    sizes = [3 if i % 8 == 7 else 8 for i in range(60)]
    feed = [(torch.randn(n, 5), torch.rand(n, 1).round()) for n in sizes]
    random.seed(0)
    state = random.getstate()
    step = compare_with_eager(
        Case(forward, bank=torch.zeros(1, 5)), OPTIMIZERS[optimizer], clip=0.5, feed=feed, seeded=state
    )
    assert (step.fallback_reason is None) if reason is None else (reason in str(step.fallback_reason))


class Constant(nn.Module):
    """Outputs that are a parameter, or a view of one, as of a model without features."""

    def __init__(self, view: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.value, self._view = nn.Parameter(torch.arange(8.0).reshape(8, 1)), view

    def forward(self, _: Tensor) -> Tensor:
        return self._view(self.value)


@pytest.mark.parametrize("view", [lambda p: p, lambda p: p[:1].expand(8, 1), lambda p: p.t().reshape(8, 1)])
def test_outputs_are_those_before_the_update(view: Callable[[Tensor], Tensor]):
    feed, model = batches(9, None), Constant(view)
    optimizer, expected = optim.SGD(model.parameters(), lr=0.1), list[Tensor]()
    for x, y in feed:
        expected.append(model(x).detach().clone())
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    for make in (lambda eager: eager, lambda eager: ReplayStep(eager, RecordedSteps())):
        model = Constant(view)
        with torch.no_grad():
            step = make(EagerStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1)))
            outputs = step(stacks_of(feed)).outputs
        assert torch.equal(torch.cat(outputs), torch.cat(expected))


class Normalised(nn.MSELoss):
    """A loss with a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        loss = super().forward(output, target)
        self.mean.mul_(0.9).add_(loss.detach(), alpha=0.1)
        return loss / self.mean


def test_a_loss_with_a_buffer():
    assert is_replayed(compare_with_eager(mlp(), criterion=Normalised()), 8, 3)


def test_a_frozen_layer():
    net = nn.Sequential(nn.Linear(5, 6).requires_grad_(False), nn.Tanh(), nn.Linear(6, 1))
    assert is_replayed(compare_with_eager(net, OPTIMIZERS["adam"]), 8, 3)


def test_a_scheduler_that_sets_momentum_to_zero():
    def schedule(optimizer: optim.Optimizer, step: int) -> None:
        optimizer.param_groups[0]["momentum"] = 0.9 if step % 20 < 13 else 0.0

    compare_with_eager(mlp(), OPTIMIZERS["momentum"], feed=batches(60), between=schedule, one_by_one=True)


class Optimistic(optim.Optimizer):
    """An optimizer that keeps the last gradient itself, not a copy."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__(parameters, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for parameter in self.param_groups[0]["params"]:
            before = self.state[parameter].get("before", parameter.grad)
            parameter.add_(2 * parameter.grad - before, alpha=-0.05)
            self.state[parameter]["before"] = parameter.grad
        return loss


def test_an_optimizer_that_keeps_gradients():
    compare_with_eager(mlp(), Optimistic, feed=batches(60))


class Centralized(optim.SGD):
    """An optimizer that changes the gradients themselves."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        for parameter in self.param_groups[0]["params"]:
            parameter.grad.sub_(parameter.grad.mean())
        return super().step(closure)  # type: ignore[arg-type]


def test_an_optimizer_that_changes_gradients():
    assert is_replayed(compare_with_eager(mlp(), lambda p: Centralized(p, lr=0.1)), 8, 3)


class Changing(optim.Optimizer):
    """An optimizer that changes more than values in step 20: it gives parameters new memory, or trains fewer."""

    def __init__(self, parameters: Iterable[nn.Parameter], change: str) -> None:
        super().__init__(parameters, {})
        self.change, self.steps = change, 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> None:  # type: ignore[override]
        del closure
        self.steps += 1
        first, *others = self.param_groups[0]["params"]
        for parameter in (first, *others):
            if parameter.grad is not None:
                parameter.add_(parameter.grad, alpha=-0.05)
        if self.steps == 20 and self.change == "memory":
            first.data = first.data * 1.5
        elif self.steps == 20:
            first.requires_grad_(False)


@pytest.mark.parametrize("change", ["memory", "requires_grad"])
def test_an_optimizer_that_changes_more_than_values(change: str):
    replayed = compare_with_eager(mlp(), lambda p: Changing(p, change), feed=batches(40, short=None))
    assert replayed.fallback_reason is not None
    assert replayed.fallback_reason.startswith(f"{'the memory' if change == 'memory' else change} of a parameter")


def test_batches_that_are_cut_during_replay():
    """More than 1,024 steps per epoch, and a short batch at its end: batches are cut while others are replayed."""
    experiment = build(config_of("dataset=moons", "dataset.n_samples=5174", "batching.batch_size=3", "epochs=1"))
    assert experiment.batches.steps_per_epoch > 1024
    assert len(experiment.data.train) % 3
    for _ in Training(experiment.learner, experiment.batches, experiment.data, experiment.plan):
        pass
    assert experiment.learner.step.fallback_reason is None


@pytest.mark.gpu
@pytest.mark.parametrize(("optimizer", "model"), [*product(["sgd", "nesterov", "adam"], MODELS), ("nadam", "mlp")])
def test_a_cuda_graph_gives_the_bits_of_eager_steps(optimizer: str, model: str):
    assert is_replayed(compare_with_eager(MODELS[model](), OPTIMIZERS[optimizer], device="cuda"), 8, 3)


def test_the_optimizers_own_step_takes_the_place_of_an_update_that_differs(monkeypatch: pytest.MonkeyPatch):
    """As another version of torch, or its kernels for another device, may change the order of an update."""

    def make_other_update(optimizer: optim.Optimizer) -> BareUpdate:
        update = make_update(optimizer)
        assert update is not None
        (group,) = update.groups
        numbers = group.numbers
        other = [replace(group, numbers=lambda counts: [[n * (1 + 2**-20) for n in row] for row in numbers(counts)])]
        return BareUpdate(other)

    monkeypatch.setattr("exp.engine.replay.make_update", make_other_update)
    assert is_replayed(compare_with_eager(mlp(), OPTIMIZERS["adam"]), 8, 3, scripted=False)


@pytest.mark.gpu
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
def test_a_cuda_graph_of_several_steps_gives_the_bits_of_eager_steps(optimizer: str, model: str):
    feed = [batch for part in range(14) for batch in batches(18, None)[: 18 - part % 2]]
    replayed = compare_with_eager(MODELS[model](), OPTIMIZERS[optimizer], feed=feed, device="cuda", longest=18)
    assert any(loop.window > 1 and count >= 2 for loop, count in replayed._verified.items())


@pytest.mark.gpu
def test_no_other_tensor_gets_the_memory_of_a_cuda_graph():
    """What a graph reads and writes must stay allocated, or later tensors change what the graph computes."""
    kept: list[Tensor] = []

    def fill_free_memory(_optimizer: optim.Optimizer, _step: int) -> None:
        gc.collect()
        kept.extend(torch.full((size,), torch.nan, device="cuda") for size in (1, 8, 48, 128, 512, 4096) * 20)

    replayed = compare_with_eager(mlp(nn.Dropout(0.2)), device="cuda", between=fill_free_memory)
    assert is_replayed(replayed, 8, 3)


@pytest.mark.parametrize("words", ["+loss.pos_weight=3.7", "+loss.pos_weight=3.7 optimizer=adam clip_grad_norm=1"])
def test_no_warning_of_torch_reaches_the_user(words: str):
    """torch warns of a deprecated overload of `add`, which is one of the entry points that are tried."""
    torch.set_warn_always(True)  # not only once in a process
    try:
        experiment = build(config_of("dataset=moons", "loss=bce_with_logits", "engine=replay", *words.split()))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stream, rows = experiment.batches.stream(), experiment.batches.rows
            experiment.learner.advance(stream.take(20), [20], rows)
        assert experiment.learner.step.fallback_reason is None
        assert [str(warning.message) for warning in caught] == []
    finally:
        torch.set_warn_always(False)
