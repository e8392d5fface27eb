"""Replayed evaluations have the bits of eager ones, and what could differ the next time is not replayed."""

from collections.abc import Callable

import pytest
import torch
from conftest import config_of, list_evaluations
from torch import Tensor, nn

from exp.engine.precision import Precision
from exp.engine.python_loop import PythonLoop
from exp.engine.replayed_evaluation import Evaluations, ReplayedEvaluations
from exp.engine.tensor_state import are_equal
from exp.training.build import build
from exp.training.loop import Training

X, Y = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 2


def small_net(*more: nn.Module) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), *more, nn.Linear(4, 2))


class Repeated:
    """Evaluates a network repeatedly, and changes its parameters in between."""

    def __init__(
        self, network: nn.Module, precision: Precision | None = None, captured: Evaluations | None = None
    ) -> None:
        self.network, self.criterion, self.precision = network, nn.CrossEntropyLoss(), precision or Precision()
        self.captured: Evaluations = {} if captured is None else captured
        self.replayed = ReplayedEvaluations(network, self.criterion, self.precision, self.captured)
        self.eager = 0

    def evaluate(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        self.eager += 1
        self.network.eval()
        with torch.no_grad():
            output = self.precision.compute_outputs(self.network, x)
        return self.criterion(output, y), output

    def times(self, count: int, x: Tensor = X, y: Tensor = Y) -> list[tuple[Tensor, Tensor]]:
        results: list[tuple[Tensor, Tensor]] = []
        for _ in range(count):
            results.append(self.replayed(x, y, self.evaluate))
            with torch.no_grad():
                for parameter in self.network.parameters():
                    parameter.mul_(1.1)
        return results


@pytest.mark.parametrize("precision", [Precision(), Precision(torch.bfloat16)], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    "layers",
    [
        lambda: (nn.ReLU(),),
        lambda: (nn.BatchNorm1d(4), nn.GELU(), nn.Dropout(0.5)),
        lambda: (nn.LayerNorm(4), nn.PReLU()),
        lambda: (),
    ],
    ids=["relu", "batch norm and dropout", "layer norm and prelu", "linear"],
)
def test_replayed_evaluations_have_the_bits_of_eager_ones(
    layers: Callable[[], tuple[nn.Module, ...]], precision: Precision
):
    ours = Repeated(small_net(*layers()), precision)
    replayed = ours.times(9)
    assert ours.eager == 4
    theirs = Repeated(small_net(*layers()), precision)
    theirs.replayed = lambda x, y, evaluate: evaluate(x, y)
    assert are_equal([one for pair in replayed for one in pair], [one for pair in theirs.times(9) for one in pair])


def test_rows_of_another_shape_are_captured_on_their_own():
    one = Repeated(small_net(nn.ReLU()))
    one.times(6)
    loss, output = one.times(1, X[:5], Y[:5])[0]
    assert (one.eager, output.shape) == (5, (5, 2))
    assert torch.isfinite(loss)


def test_a_later_job_verifies_what_an_earlier_one_captured():
    network = small_net(nn.ReLU())
    first = Repeated(network)
    first.times(5)
    later = Repeated(network, captured=first.captured)
    later.times(5)
    assert later.eager == 1


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu() if float(x.sum()) > 0 else x.tanh()


@pytest.mark.parametrize("layer", [Noisy, Counting, Branching])
def test_what_may_differ_the_next_time_is_evaluated_eagerly(layer: type[nn.Module], monkeypatch: pytest.MonkeyPatch):
    one = Repeated(small_net(layer()))
    one.times(6)
    assert one.eager == 6, "code of the user's"
    monkeypatch.setattr(layer, "__module__", "torch.nn")
    one = Repeated(small_net(layer()))
    one.times(6)
    assert one.eager == 6
    assert [*one.captured.values()] == [None]
    assert all(buffer == 6 for buffer in one.network.buffers()), "the calls of Counting"


def test_a_hook_is_called_at_each_evaluation():
    one = Repeated(small_net(nn.ReLU()))
    calls: list[int] = []
    one.network.register_forward_hook(lambda *_: calls.append(1))
    one.times(6)
    assert one.eager == len(calls) == 6


def test_the_capture_draws_no_random_number():
    """FractionalMaxPool2d draws in evaluation mode, too."""
    layers = nn.Unflatten(1, (1, 2, 2)), nn.FractionalMaxPool2d(2, 1), nn.Flatten(), nn.Linear(1, 4)
    one = Repeated(small_net(*layers))
    torch.manual_seed(2)
    one.times(6)
    assert [*one.captured.values()] == [None]
    state = torch.get_rng_state()
    torch.manual_seed(2)
    for _ in range(6):
        one.evaluate(X, Y)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("place", ["forward", "activation"])
def test_code_of_the_users_in_a_module_of_torch_is_called_once_for_each_evaluation(place: str):
    calls: list[int] = []

    def counting(x: Tensor) -> Tensor:
        calls.append(1)
        return x * len(calls)

    layer = nn.TransformerEncoderLayer(4, 1, 2, activation=counting) if place == "activation" else nn.ReLU()
    if place == "forward":
        layer.forward = counting
    one = Repeated(small_net(layer))
    one.times(6)
    assert len(calls) == one.eager == 6


def test_parameters_that_get_other_memory_are_evaluated():
    ours, theirs = Repeated(small_net(nn.ReLU())), Repeated(small_net(nn.ReLU()))
    for one in (ours, theirs):
        one.times(6)
        one.network[0].weight.data = one.network[0].weight.data * 2
    assert are_equal(ours.times(1)[0], theirs.evaluate(X, Y))


def test_an_evaluation_with_large_results_keeps_no_memory_for_them():
    """As a convolution of many rows has, with few parameters."""
    large = nn.Unflatten(1, (1, 4)), nn.ConstantPad1d((0, 700_000), 0.0), nn.AdaptiveAvgPool1d(4), nn.Flatten()
    one = Repeated(small_net(*large))
    one.times(4)
    assert [*one.captured.values()] == [None]


def test_an_evaluation_that_computes_other_bits_is_eager_from_then_on():
    one = Repeated(small_net(nn.ReLU()))
    one.times(3)
    one.criterion.label_smoothing = 0.1  # only `evaluate` sees it
    assert one.eager == 3
    one.times(6)
    assert one.eager == 9


def test_what_cannot_be_computed_is_explained_by_the_eager_evaluation():
    """As a BCELoss of outputs beyond 1 does. The loss and outputs of earlier evaluations were in its range."""
    one = Repeated(nn.Sequential(nn.Linear(3, 1)))
    one.criterion = nn.BCELoss()
    one.replayed = ReplayedEvaluations(one.network, one.criterion, one.precision, one.captured)
    with torch.no_grad():
        one.network[0].weight.zero_()
        one.network[0].bias.fill_(0.5)
    y = torch.ones(7, 1)
    one.times(5, X, y)
    assert one.eager == 4
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        one.times(5, X, y)
    assert one.eager == 5


def evaluations(*typed: str) -> list[tuple[int, dict[str, float]]]:
    """Return the step and the metrics of each evaluation of a run."""
    built = build(config_of("dataset=cancer", "epochs=12", *typed))
    events = Training(built.learner, built.batches, built.data, built.plan)
    return [(event.at.step, dict(event.values)) for event in list_evaluations(events)]


@pytest.mark.parametrize("more", ["", "ema=0.9", "loss.class_weights=balanced"])
def test_a_run_with_replayed_evaluations_is_the_eager_run(more: str, monkeypatch: pytest.MonkeyPatch):
    replayed: list[Tensor] = []
    compute = PythonLoop.compute

    def spied(loop: PythonLoop, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        replayed.append(x)
        return compute(loop, x, y)

    monkeypatch.setattr(PythonLoop, "compute", spied)
    ours = evaluations("engine=replay", *more.split())
    assert len(replayed) == 13 - 3, "of the validation rows: the fourth is eager too"
    assert ours == evaluations("engine=eager", *more.split())
    assert len(replayed) == 13 - 3


def test_a_model_is_in_evaluation_mode_at_the_end():
    """Also if the last evaluation was replayed, as that of training rows which the validation rows equal in shape."""
    built = build(config_of("dataset=xor", "epochs=300"))
    list(Training(built.learner, built.batches, built.data, built.plan))
    assert not any(module.training for module in built.model.modules())
