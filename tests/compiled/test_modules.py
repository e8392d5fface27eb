"""Whatever modules a model has, a step is compiled, or the run says in one sentence why not; none stops it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from against_eager import ENGINES, FEATURES, ROWS, check
from compiling import optimization
from conftest import one_in
from torch import Tensor, nn, optim
from torch.utils.checkpoint import checkpoint

from exp.data.stack import Stack
from exp.engine.step import EagerStep

__all__ = ["optimization"]  # a fixture


class Between(nn.Module):
    """A function, and perhaps a module that it uses, after a linear layer."""

    def __init__(self, function: Callable[["Between", Tensor], Tensor], module: Callable[[], nn.Module] | None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last = nn.Linear(FEATURES, 8), nn.Linear(FEATURES, 1)
        self.own = nn.Identity() if module is None else module()
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        hidden = self._function(self, self.first(x)).reshape(ROWS, -1)
        return (hidden.abs() if hidden.is_complex() else hidden).float().mean(1, keepdim=True) + self.last(x)


def own(net: Between, h: Tensor) -> Tensor:
    return net.own(h)


def own_of_pairs(net: Between, h: Tensor) -> Tensor:
    out = net.own(h.view(ROWS, 2, 4))
    return out[0] if isinstance(out, tuple) else out


def own_of_positions(net: Between, h: Tensor) -> Tensor:
    return h.mean() + net.own((h.detach()[:, :2] > 0).long())


def attention(net: Between, h: Tensor) -> Tensor:
    pairs = h.view(ROWS, 2, 4)
    return net.own(pairs, pairs, pairs)[0]


class HalfGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:  # type: ignore[override]
        return g * ctx.saved_tensors[0].cos() * 0.5


COMPILED: dict[str, tuple[Callable[[Between, Tensor], Tensor], Callable[[], nn.Module] | None]] = {
    "attention": (attention, lambda: nn.MultiheadAttention(4, 2, batch_first=True)),
    "dropout of features": (own_of_pairs, lambda: nn.Sequential(nn.Dropout1d(0.3), nn.AlphaDropout(0.2))),
    "batch norm": (own, lambda: nn.BatchNorm1d(8)),
    "layer norm, GLU": (own, lambda: nn.Sequential(nn.LayerNorm(8), nn.GLU())),
    "PReLU, Softplus": (own, lambda: nn.Sequential(nn.PReLU(), nn.Softplus())),
    "embedding": (own_of_positions, lambda: nn.Embedding(4, 3, padding_idx=0)),
    "cosine": (lambda _, h: F.cosine_similarity(h[:, :4], h[:, 4:]), None),
    "einsum": (lambda net, h: torch.einsum("bi,bj,ij->bi", h, h, net.first.weight @ net.first.weight.t()), None),
    "views": (lambda _, h: h.view(ROWS, 2, 4).transpose(1, 2).reshape(ROWS, 8)[:, 1:], None),
    "autograd.Function": (lambda _, h: HalfGradient.apply(h), None),
    "checkpoint": (lambda _, h: checkpoint(torch.tanh, h, use_reentrant=False), None),
}

REPLAYED: dict[str, tuple[Callable[[Between, Tensor], Tensor], Callable[[], nn.Module] | None, str]] = {
    "transformer": (
        own_of_pairs,
        lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True),
        "the operator _scaled_dot_product_flash_attention_for_cpu is not",
    ),
    "embedding bag": (own_of_positions, lambda: nn.EmbeddingBag(4, 3), "the operator arange is not"),
    "convolution": (own_of_pairs, lambda: nn.Conv1d(2, 2, 2), "convolutions take nearly all the time"),
    "group norm": (own, lambda: nn.GroupNorm(2, 8), "the operator native_group_norm is not"),
    "bilinear": (
        lambda net, h: net.own(h[:, :4], h[:, 4:]),
        lambda: nn.Bilinear(4, 4, 3),
        "the operator _trilinear is",
    ),
    "RReLU": (own, nn.RReLU, "the operator rrelu_with_noise is not"),
    "cumsum": (lambda _, h: h.cumsum(1), None, "the operator cumsum is not"),
    "topk": (lambda _, h: h.topk(3, 1)[0], None, "the operator topk is not"),
    "scatter": (lambda _, h: torch.zeros(ROWS, 8).scatter_add(1, (h.detach() > 0).long(), h), None, "the operator"),
    "gather": (lambda _, h: h.gather(1, torch.zeros(ROWS, 2, dtype=torch.long)), None, "the operator gather is"),
    "power": (lambda _, h: (h.abs() + 1) ** h, None, "the operator pow with another exponent"),
    "random whole numbers": (lambda _, h: h + torch.randint(0, 3, (ROWS, 8)), None, "the operator randint is not"),
    "a frozen parameter": (
        lambda net, h: h * net.own[0],  # type: ignore[index]
        lambda: nn.ParameterList([nn.Parameter(torch.ones(1), requires_grad=False)]),
        "parameter own.0 has no gradient",
    ),
    "quantile": (lambda _, h: h.quantile(0.3, 1), None, "the operator sort is not"),
    "a shape changed in place": (
        lambda _, h: (h + torch.empty(8).copy_(h[0]).unsqueeze_(0)).t_().tanh(),
        None,
        "a result has another shape",
    ),
    "doubles": (lambda _, h: h.double(), None, "it computes in float64"),
}

EAGER: dict[str, tuple[Callable[[Between, Tensor], Tensor], Callable[[], nn.Module] | None, str]] = {
    "LSTM": (own_of_pairs, lambda: nn.LSTM(4, 3, batch_first=True), "the step cannot be captured: "),
    "sparse gradients": (own_of_positions, lambda: nn.Embedding(4, 3, sparse=True), "the step cannot be captured: "),
    "prod": (lambda _, h: h + h.prod(1, keepdim=True), None, "torch computes the derivative of prod in another way"),
    "complex": (lambda _, h: torch.complex(h, h) * 2j, None, "the step cannot be captured: "),
}


@pytest.mark.parametrize("case", one_in(3, COMPILED))
def test_modules_that_are_compiled(case: str):
    assert check(lambda: Between(*COMPILED[case])) == {"replay": "replay", "compiled": "compiled"}


@pytest.mark.parametrize("case", one_in(3, REPLAYED))
def test_modules_that_are_replayed(case: str):
    function, module, reason = REPLAYED[case]
    told = check(lambda: Between(function, module))
    assert told["replay"] == "replay"
    assert told["compiled"].startswith(f"engine=replay: {reason}")


@pytest.mark.parametrize("case", EAGER)
def test_modules_that_are_eager(case: str):
    function, module, reason = EAGER[case]
    told = check(lambda: Between(function, module))
    assert told["compiled"].startswith(f"engine=eager: {reason}")
    assert told["replay"] == told["compiled"]


def test_parameters_without_elements_and_with_one_are_compared():
    for count in (0, 1):
        model = lambda count=count: Between(  # noqa: E731
            lambda net, h: h + net.own[0].sum(),  # type: ignore[index]
            lambda: nn.ParameterList([torch.ones(count)]),
        )
        assert check(model)["replay"] == "replay"


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "RMSprop", "Adagrad"])
@pytest.mark.parametrize(
    ("function", "is_trained"),
    [(lambda net, h: h * net.own[0], False), (lambda _, h: h, True), (lambda net, h: h * net.own[0].detach(), True)],
    ids=["frozen", "unused", "detached"],
)
def test_optimizers_without_the_state_of_a_parameter(
    function: Callable[[Between, Tensor], Tensor], is_trained: bool, optimizer: str
):
    """A parameter that gets no gradient has no moments, which an update of all parameters would look for."""
    own = lambda: nn.ParameterList([nn.Parameter(torch.ones(1), requires_grad=is_trained)])  # noqa: E731
    told = check(lambda: Between(function, own), lambda own: getattr(optim, optimizer)(own, lr=0.01))
    assert told == {"replay": "replay", "compiled": "engine=replay: parameter own.0 has no gradient"}


class Products(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(30, 12), nn.Linear(12, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        return self.last(h + h.prod(1, keepdim=True))


def test_the_step_that_is_recorded_has_the_derivative_of_an_eager_one():
    """Torch computes that of prod by another formula while it is recorded, which shows in one of many steps."""
    generator = torch.Generator().manual_seed(1)
    batches = Stack.of(torch.randn(300, 12, 30, generator=generator), torch.randn(300, 12, 1, generator=generator))
    trained: list[list[Tensor]] = []
    for make in (lambda eager: eager, *ENGINES.values()):
        model = Products()
        step = make(EagerStep(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.003)))
        with torch.no_grad():
            step(batches.singles())
        trained.append(list(model.parameters()))
    assert all(torch.equal(*both) for one in trained[1:] for both in zip(one, trained[0], strict=True))


def test_a_product_of_no_columns():
    model = lambda: Between(  # noqa: E731
        lambda net, h: torch.cat([h, F.linear(h, net.own[0])], 1),  # type: ignore[index]
        lambda: nn.ParameterList([torch.zeros(0, 8)]),
    )
    assert check(model)["compiled"].startswith("engine=replay: compiling failed: ")
