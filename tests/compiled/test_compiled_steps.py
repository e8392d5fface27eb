"""A compiled step differs from the eager one, made from the same state, by less than the stated tolerance."""

import copy
import gc
import weakref
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from compiling import check_steps, compile_training, optimization, record_step
from conftest import one_in
from torch import Tensor, nn, optim

from exp.compiled import c_library, core_operators
from exp.compiled.compile_step import compile_trace, why_never_compiled
from exp.compiled.uncompilable import Uncompilable
from exp.compiled.update_loops import NumberTable
from exp.data.stack import Stack
from exp.engine.precision import Precision
from exp.engine.step import EagerStep
from exp.engine.step_tensors import StepTensors
from exp.engine.tensor_state import TensorState
from exp.engine.trace import Trace
from exp.engine.updates import make_update
from exp.models.activations import ACTIVATIONS
from exp.models.cnn import CNN
from exp.models.mlp import MLP
from exp.models.realmlp import RealMLP
from exp.models.recurrent import GRU
from exp.models.tabm import TabM
from exp.training.member_models import training_loss
from exp.training.weights import WeightedLoss

__all__ = ["optimization"]  # a fixture

STEPS, ROWS, FEATURES, CLASSES = 4, 16, 6, 3

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3, dampening=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, weight_decay=1e-3, eps=1e-4),
    "adamw": lambda p: optim.AdamW(p, eps=1e-4),
    "rmsprop": lambda p: optim.RMSprop(p, weight_decay=0.01, eps=1e-4),
    "rmsprop with momentum": lambda p: optim.RMSprop(p, momentum=0.5, eps=1e-4),
    "adagrad": lambda p: optim.Adagrad(p, lr_decay=0.1, eps=1e-4),
}

MODELS: dict[str, Callable[[int], nn.Module]] = {
    "linear": lambda k: nn.Linear(FEATURES, k),
    "mlp": lambda k: MLP(FEATURES, k, [8]),
    "dropout": lambda k: MLP(FEATURES, k, [8], dropout=0.3),
    "batch norm": lambda k: MLP(FEATURES, k, [8], norm="batch", activation="tanh"),
    "layer norm": lambda k: MLP(FEATURES, k, [8], norm="layer", activation="gelu"),
    "residual": lambda k: MLP(FEATURES, k, [20, 20], residual=True, activation="silu"),
    "pbld": lambda k: MLP(FEATURES, k, [8], embedding="pbld"),
    "periodic": lambda k: MLP(FEATURES, k, [8], embedding="periodic"),
    "piecewise": lambda k: fitted(MLP(FEATURES, k, [8], embedding="piecewise")),
    "realmlp": lambda k: RealMLP(FEATURES, k, [8, 8], embedding="pbld", parametric=True, dropout=0.15, steps=100),
}

# The loss, its outputs, and its targets [n, B, ...].
LOSSES: dict[str, tuple[nn.Module, int, Callable[[], Tensor]]] = {
    "cross entropy": (nn.CrossEntropyLoss(), CLASSES, lambda: classes()),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES, lambda: classes()),
    "class weights": (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5])), CLASSES, lambda: classes()),
    "bce with logits": (nn.BCEWithLogitsLoss(), 1, lambda: labels()),
    "positive weight": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0])), 1, lambda: labels()),
    "mse": (nn.MSELoss(), 2, lambda: torch.randn(STEPS, ROWS, 2)),
    "l1": (nn.L1Loss(), 1, lambda: torch.randn(STEPS, ROWS, 1)),
    "huber": (nn.HuberLoss(delta=0.7), 1, lambda: torch.randn(STEPS, ROWS, 1)),
    "smooth l1": (nn.SmoothL1Loss(), 1, lambda: torch.randn(STEPS, ROWS, 1)),
    "row weights": (
        WeightedLoss(nn.MSELoss(reduction="none"), None, True, False), 1, lambda: torch.rand(STEPS, ROWS, 2)
    ),
}  # fmt: skip


def classes() -> Tensor:
    return torch.randint(CLASSES, (STEPS, ROWS))


def labels() -> Tensor:
    return torch.rand(STEPS, ROWS, 1).round()


def fitted(model: MLP) -> MLP:
    model.initialize(torch.randn(100, FEATURES))
    return model


def inputs() -> Tensor:
    return torch.randn(STEPS, ROWS, FEATURES)


def check(model: nn.Module, loss: str, optimizer: str, clip: float | None = None) -> None:
    criterion, _, targets = LOSSES[loss]
    is_strict = optimizer in ("sgd", "momentum", "nesterov")  # the others divide by the gradient, however small
    made = OPTIMIZERS[optimizer](model.parameters())
    check_steps(model, copy.deepcopy(criterion), made, inputs(), targets(), clip, is_strict)


def in_turn() -> list[tuple[str, str, str]]:
    """Each model, loss and optimizer in a few cases of the fast tests, all of them in the slow ones."""
    cases = list(product(MODELS, LOSSES, OPTIMIZERS))
    count = max(len(MODELS), len(LOSSES), len(OPTIMIZERS))
    fast = [[list(names)[number % len(names)] for names in (MODELS, LOSSES, OPTIMIZERS)] for number in range(count)]
    rest = [case for number, case in enumerate(cases) if number % 7 == 0 and list(case) not in fast]
    return [*map(tuple, fast), *(pytest.param(*case, marks=pytest.mark.slow) for case in rest)]


@pytest.mark.parametrize(("model", "loss", "optimizer"), in_turn())
def test_a_step_is_the_eager_one_within_the_tolerance(model: str, loss: str, optimizer: str):
    check(MODELS[model](LOSSES[loss][1]), loss, optimizer)


@pytest.mark.parametrize("activation", one_in(6, ACTIVATIONS))
def test_activations(activation: str):
    check(MLP(FEATURES, CLASSES, [8], activation=activation), "cross entropy", "sgd")


def test_steps_of_usual_models_and_losses_need_no_decomposition_of_torch(monkeypatch: pytest.MonkeyPatch):
    """The first one that is used imports 500 modules, which takes longer than many a run."""
    monkeypatch.setattr(core_operators, "_find_decomposition", lambda call: pytest.fail(call.name))
    models = {name: model for name, model in MODELS.items() if "norm" not in name}
    models |= {one: lambda k, one=one: MLP(FEATURES, k, [8], activation=one) for one in ACTIVATIONS}
    models["tabm"] = lambda k: TabM(FEATURES, k, [8, 8], k=4, kind="mini", output_meaning="values")
    cases = [*((model, "mse") for model in models.values()), *((MODELS["mlp"], loss) for loss in LOSSES)]
    for make, loss in cases:
        criterion, outputs, targets = LOSSES[loss]
        model = make(outputs)
        optimizer = optim.SGD(model.parameters(), 0.1)
        record_step(
            EagerStep(model, training_loss(model, copy.deepcopy(criterion)), optimizer), inputs()[0], targets()[0]
        )


def test_bce_of_probabilities():
    model = MLP(FEATURES, 1, [8], output_activation="sigmoid")
    check_steps(model, nn.BCELoss(), OPTIMIZERS["sgd"](model.parameters()), inputs(), labels(), is_strict=True)


def test_clipped_gradients():
    check(MLP(FEATURES, CLASSES, [8]), "cross entropy", "momentum", clip=0.1)


@pytest.mark.parametrize("kind", ["mini", pytest.param("full", marks=pytest.mark.slow)])
def test_members(kind: str):
    model = TabM(
        FEATURES, CLASSES, [8, 8], k=4, kind=kind, output_meaning="classes", embedding="piecewise", dropout=0.1
    )
    model.initialize(torch.randn(100, FEATURES))
    criterion = training_loss(model, nn.CrossEntropyLoss())
    check_steps(model, criterion, OPTIMIZERS["adamw"](model.parameters()), inputs(), classes())


class Unusual(nn.Module):
    """Norms of the input, norms without parameters, a tied and a 0-dim parameter, and buffers that change places."""

    a: Tensor
    b: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.batch, self.layer = nn.BatchNorm1d(FEATURES), nn.LayerNorm(FEATURES)
        self.first, self.second = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, FEATURES)
        self.second.weight = self.first.weight
        self.plain, self.scale = nn.BatchNorm1d(FEATURES, affine=False), nn.Parameter(torch.tensor(1.5))
        self.factors = torch.ones(FEATURES)  # neither a parameter nor a buffer
        self.register_buffer("a", torch.randn(FEATURES))
        self.register_buffer("b", torch.randn(FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            before = self.a.clone()
            self.a.copy_(self.b)
            self.b.copy_(before)
        hidden = self.first(self.batch(x) + self.layer(x)).tanh() + self.a
        return (self.second(self.plain(hidden)) * self.scale * self.factors)[:, :CLASSES]


@torch.no_grad()
def test_unusual_models():
    model = Unusual()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
    xs, ys = inputs(), torch.randn(STEPS, ROWS, CLASSES)
    compiled = compile_training(model, nn.MSELoss(), optimizer, xs[0].clone(), ys[0].clone())
    for x, y in zip(xs, ys, strict=True):
        assert compiled.difference(x, y) is None
        compiled.eager.update(x, y)
        model.factors.add_(1)


def test_embedded_categories():
    x = inputs()
    x[:, :, 0] = torch.randint(4, (STEPS, ROWS))
    model = MLP(FEATURES, CLASSES, [8], cardinalities=[4, 0, 0, 0, 0, 0], category_dim=2, embedding="pbld")
    check_steps(model, nn.CrossEntropyLoss(), OPTIMIZERS["adam"](model.parameters()), x, classes())


def test_two_parameter_groups():
    model = MLP(FEATURES, CLASSES, [8])
    first, *rest = model.parameters()
    optimizer = optim.AdamW([{"params": [first], "lr": 0.1, "weight_decay": 0}, {"params": rest}], eps=1e-4)
    check_steps(model, nn.CrossEntropyLoss(), optimizer, inputs(), classes())


def test_parameters_that_are_not_trained_are_read_at_each_step():
    model = MLP(FEATURES, CLASSES, [8])
    first, *rest = model.parameters()
    x, y = inputs(), classes()
    compiled = compile_training(model, nn.CrossEntropyLoss(), optim.SGD(rest, lr=0.1), x[0], y[0])
    with torch.no_grad():
        first.mul_(2)
    assert compiled.difference(x[1], y[1], is_strict=True) is None


def test_a_window_makes_its_steps_in_order_with_the_random_numbers_of_eager_steps():
    model, xs, ys = MLP(FEATURES, CLASSES, [8], dropout=0.5), inputs(), classes()
    twin = copy.deepcopy(model)
    first = xs[0].clone(), ys[0].clone()
    compiled = compile_training(model, nn.CrossEntropyLoss(), OPTIMIZERS["adam"](model.parameters()), *first)
    eager = EagerStep(twin, nn.CrossEntropyLoss(), OPTIMIZERS["adam"](twin.parameters()))
    with torch.no_grad():
        eager.update(*first)
        model.load_state_dict(twin.state_dict())
        compiled.eager.optimizer.load_state_dict(copy.deepcopy(eager.optimizer.state_dict()))
        torch.manual_seed(5)
        losses = torch.stack([eager.update(x, y)[0] for x, y in zip(xs, ys, strict=True)])
        torch.manual_seed(5)
        ours, _ = compiled.play(xs, ys)
    torch.testing.assert_close(ours, losses, rtol=1e-4, atol=1e-5)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("first", "x"),
    [
        (nn.Linear(FEATURES, 4), torch.randn(ROWS * STEPS, FEATURES)),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), torch.randn(ROWS * STEPS, 3, 2, 2)),
        (nn.Sequential(nn.Embedding(7, 2), nn.Flatten(), nn.Linear(4, 4)), torch.randint(7, (ROWS * STEPS, 2))),
    ],
    ids=["columns", "images", "integers"],
)
def test_rows_that_are_taken_by_their_numbers_are_those_of_batches(first: nn.Module, x: Tensor):
    y, order = torch.randint(CLASSES, (len(x),)), torch.randperm(len(x))
    compiled = compile_training(
        nn.Sequential(first, nn.ReLU(), nn.Linear(4, CLASSES)),
        nn.CrossEntropyLoss(), optim.SGD([*first.parameters()], lr=0.05), x[:ROWS].clone(), y[:ROWS].clone(),
    )  # fmt: skip
    before = TensorState.save(StepTensors(compiled.eager, []).changed, x.device)
    expected = compiled.play(x[order].unflatten(0, (STEPS, ROWS)), y[order].unflatten(0, (STEPS, ROWS)))
    after = [parameter.clone() for parameter in first.parameters()]
    before.restore()
    taken, rest = Stack.of_rows(x, y, order, ROWS).split(1)
    results = [compiled.loop.run(stack, compiled.update)[:2] for stack in (taken, rest)]
    assert not taken.rows.are_copied
    for ours, theirs in zip(
        [*map(torch.cat, zip(*results, strict=True)), *first.parameters()], [*expected, *after], strict=True
    ):
        assert torch.equal(ours, theirs)


def test_other_hyperparameters_need_no_compilation(monkeypatch: pytest.MonkeyPatch):
    """Learning rate, smoothing, clipping and dropout are arguments."""

    def train(lr: float, smoothing: float, clip: float, dropout: float) -> Tensor:
        torch.manual_seed(0)
        model = MLP(FEATURES, CLASSES, [8], dropout=dropout)
        criterion, xs, ys = nn.CrossEntropyLoss(label_smoothing=smoothing), inputs(), classes()
        optimizer = optim.Adam(model.parameters(), lr=lr)
        compiled = compile_training(model, criterion, optimizer, xs[0], ys[0], clip)
        with torch.no_grad():
            assert compiled.difference(xs[1], ys[1]) is None
        return compiled.play(xs, ys)[0]

    first = train(0.1, 0.1, 1.0, 0.3)
    monkeypatch.setattr("exp.compiled.c_compiler.subprocess.Popen", None)
    assert not torch.equal(first, train(0.2, 0.15, 0.7, 0.4))


def test_nan_and_inf_are_handed_on():
    model, xs, ys = MLP(FEATURES, CLASSES, [8]), inputs(), classes()
    compiled = compile_training(model, nn.CrossEntropyLoss(), OPTIMIZERS["sgd"](model.parameters()), xs[0], ys[0])
    compiled.play(xs, ys)
    assert not compiled.loop.found_nan
    xs[1, 3, 2] = float("nan")
    losses, outputs = compiled.play(xs, ys)
    assert compiled.loop.found_nan
    assert losses.isnan().tolist() == [False, True, True, True]
    assert outputs[ROWS : 2 * ROWS].isnan().any(1).sum() == 1
    assert all(parameter.isnan().any() for parameter in model.parameters())


def test_a_small_cross_entropy_is_rounded_like_1(monkeypatch: pytest.MonkeyPatch):
    # log_softmax takes the logarithm of a sum that is hardly more than 1, in which parts below 1e-7 are lost.
    monkeypatch.setattr(c_library, "OPTIMIZATION", "-O3")  # another order of the sum than the eager one
    count, gap = 10, 12.0
    model, ys = MLP(count, count, [count]), torch.randint(count, (STEPS, ROWS))
    xs = torch.rand(STEPS, ROWS, count) + gap * nn.functional.one_hot(ys, count)
    with torch.no_grad():
        for layer in (model[0], model[-1]):
            layer.weight.copy_(torch.eye(count))
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    compiled = compile_training(model, nn.CrossEntropyLoss(), optimizer, xs[0], ys[0])
    assert [compiled.difference(x, y) for x, y in zip(xs, ys, strict=True)] == [None] * STEPS


def test_the_check_finds_a_wrong_step():
    model, xs, ys = MLP(FEATURES, CLASSES, [8]), inputs(), classes()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    compiled = compile_training(model, nn.CrossEntropyLoss(), optimizer, xs[0], ys[0])
    changed = StepTensors(compiled.eager, []).changed
    before = [tensor.clone() for tensor in changed]
    with torch.no_grad():
        assert compiled.difference(xs[1], ys[1]) is None
        other = EagerStep(model, nn.CrossEntropyLoss(label_smoothing=0.01), optimizer)
        difference = compiled.difference(xs[1], ys[1], other=other)
    assert difference is not None
    assert difference.startswith("its loss differs from the eager one by")
    assert all(torch.equal(a, b) for a, b in zip(changed, before, strict=True))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: optim.NAdam(p), "the optimizer NAdam is not compiled; SGD, Adam, AdamW, RMSprop and Adagrad are"),
        (lambda p: optim.Adam(p, fused=True), "optimizer.fused=True is not compiled"),
        (lambda p: optim.RMSprop(p, centered=True), "optimizer.centered=True is not compiled"),
    ],
)
def test_updates_that_are_not_compiled(make: Callable[[Any], optim.Optimizer], reason: str):
    assert why_never_compiled(make(nn.Linear(2, 2).parameters()), Precision(), is_in_pieces=False) == reason


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(FEATURES, CLASSES), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


class Sharing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)
        self.part = self.layer.weight.detach()[:2]

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + x.mm(self.part.t()).sum(1, keepdim=True)


class Remembering(nn.Module):
    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)
        self.register_buffer("rows", torch.zeros(2, FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        self.rows[0].copy_(x[0])
        return self.layer(x)


class Sorted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).sort().values


@pytest.mark.parametrize(
    ("model", "x", "reason"),
    [
        (lambda: Unused(), inputs()[0], "parameter unused.weight has no gradient"),
        (lambda: Sorted(), inputs()[0], "the operator sort is not compiled"),
        (lambda: Sharing(), inputs()[0], "it reads a part of a tensor that was made elsewhere"),
        (lambda: Remembering(), inputs()[0], "it writes into a constant or a part of a tensor"),
        (lambda: GRU(FEATURES, CLASSES, hidden=4), inputs()[0], "the operator unsafe_split is not compiled"),
        (lambda: CNN(64, CLASSES, [4]), torch.randn(ROWS, 64), "convolutions take nearly all the time"),
        (lambda: MLP(FEATURES, CLASSES, [8]).double(), inputs()[0].double(), "it computes in float64"),
        (lambda: MLP(FEATURES, CLASSES, [8]).bfloat16(), inputs()[0].bfloat16(), "it computes in bfloat16"),
    ],
)
def test_steps_that_are_not_compiled(model: Callable[[], nn.Module], x: Tensor, reason: str):
    built = model()
    with pytest.raises(Uncompilable, match=reason):
        compile_training(built, nn.CrossEntropyLoss(), optim.SGD(built.parameters(), lr=0.1), x, classes()[0])


def test_a_step_that_is_not_compiled_keeps_no_tensors_of_its_trace():
    """The reason is kept for the whole run: it is no error, whose traceback refers to them."""
    model = Sorted()
    eager = EagerStep(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    x, y = inputs()[0], classes()[0]
    with torch.no_grad(), Trace() as trace:
        gradients = eager.compute_gradients(x, y)
    freed = weakref.ref(trace)
    reason = compile_trace(trace, StepTensors(eager, []), x, y, gradients)
    del trace
    gc.collect()
    assert freed() is None
    assert reason == "the operator sort is not compiled"


def test_numbers_are_those_of_the_next_updates():
    model = nn.Linear(2, 1)
    optimizer = optim.AdamW(model.parameters(), lr=0.1, betas=(0.5, 0.9), weight_decay=0.2)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    update = make_update(optimizer)
    assert update is not None
    second, third = NumberTable().of_next(update, 2).tolist()
    assert second == pytest.approx([0.98, 0, 0.5, 0.9, 0.19**0.5, 1e-8, 0.1 / 0.75])
    assert third == pytest.approx([0.98, 0, 0.5, 0.9, 0.271**0.5, 1e-8, 0.1 / 0.875])
