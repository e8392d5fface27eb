"""Every operator that is compiled gives what torch gives, for any shape, and for NaN, inf and signed zeros."""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import cycle, product
from typing import Any

import numpy as np
import pytest
import torch
from compiling import Case, CompiledFunction, assert_cases_equal_to_torch, assert_equal_to_torch, optimization
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor
from torch.nn import functional as F

from exp.compiled.uncompilable import Uncompilable

__all__ = ["optimization"]  # a fixture

EXAMPLES = settings(max_examples=40)
MANY = settings(max_examples=60)  # each is compiled

SIZE = 40
ANY = st.floats(width=32)
MODERATE = st.floats(-9, 9, width=32) | st.sampled_from([float("nan"), float("inf"), -float("inf"), -0.0, 0.0])

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: getattr(torch, name) for name in "neg abs sign sqrt exp expm1 log log1p erf tanh sigmoid relu".split()},
    **{name: getattr(torch, name) for name in "reciprocal rsqrt square sgn".split()},
    "1 - x": lambda x: 1 - x,
    "x ** 3": lambda x: x**3,
    "clamp": lambda x: x.clamp(-0.5, 2),
    "is nan": lambda x: x != x,
    "not": lambda x: ~(x > 0),
    "and": lambda x: (x > 0) & (x < 1),
    "where": lambda x: torch.where(x > 0, x, 2.0),
    "masked_fill": lambda x: x.masked_fill(x > 1, 3.0),
    "leaky_relu": F.leaky_relu,
    "threshold": lambda x: torch.ops.aten.threshold_backward(x, x, 0.5),
}

# Differences of nearly equal numbers have fewer digits, in torch too.
LOOSE: dict[str, Callable[[Tensor], Tensor]] = {
    "sin": torch.sin,
    "cos": torch.cos,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "softplus": F.softplus,
    "elu": F.elu,
    "selu": F.selu,
}

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    **{name: getattr(torch, name) for name in "add sub mul div maximum minimum eq ne lt le gt ge".split()},
    "alpha": lambda a, b: torch.add(a, b, alpha=0.5),
    "rsub": lambda a, b: torch.rsub(a, b),
    "clamp": lambda a, b: a.clamp(b, b + 1),
    "lerp": lambda a, b: torch.lerp(a, b, 0.25),
    "addcmul": lambda a, b: torch.addcmul(a, b, b, value=2),
    "addcdiv": lambda a, b: torch.addcdiv(a, b, b + 20),
    "where": lambda a, b: torch.where(a < b, a, b),
}


@cache
def compiled(kind: str) -> CompiledFunction:
    """All functions of one kind, stacked, in one library."""
    torch.manual_seed(0)
    functions = {"exact": FUNCTIONS, "loose": LOOSE, "binary": BINARY}[kind]
    inputs = torch.randn(SIZE), torch.randn(SIZE)
    return CompiledFunction(stacked(functions), *inputs[: 2 if kind == "binary" else 1])


def stacked(functions: dict[str, Callable[..., Tensor]]) -> Callable[..., Tensor]:
    return lambda *inputs: torch.stack([function(*inputs).float() for function in functions.values()])


def arrays(elements: st.SearchStrategy[float], size: int = SIZE) -> st.SearchStrategy[Any]:
    return hnp.arrays(np.float32, size, elements=elements).map(torch.from_numpy)


def check(kind: str, functions: dict[str, Callable[..., Tensor]], rtol: float, atol: float, *inputs: Tensor) -> None:
    for name, ours, theirs in zip(functions, compiled(kind)(*inputs), stacked(functions)(*inputs), strict=True):
        if name.startswith("gelu"):  # of inf, torch's kernels return NaN
            ours, theirs = (one[inputs[0].isfinite()] for one in (ours, theirs))
        report = partial("{}: {}".format, name)
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol, equal_nan=True, msg=report)


@EXAMPLES
@given(arrays(ANY))
def test_functions_are_exact_to_three_units_in_the_last_place(x: Tensor):
    check("exact", FUNCTIONS, 4e-7, 3e-38, x)


@EXAMPLES
@given(arrays(MODERATE))
def test_functions_of_moderate_numbers(x: Tensor):
    check("exact", FUNCTIONS, 4e-7, 3e-38, x)
    check("loose", LOOSE, 2e-6, 1e-6, x)


@EXAMPLES
@given(arrays(MODERATE), arrays(MODERATE))
def test_operators_of_two_arrays(a: Tensor, b: Tensor):
    check("binary", BINARY, 1e-6, 1e-6, a, b)


def test_sines_of_large_numbers():
    x = torch.linspace(-3e7, 3e7, SIZE)
    sine, cosine, *_ = compiled("loose")(x)
    torch.testing.assert_close(sine, x.double().sin().float(), rtol=0, atol=3e-7)
    torch.testing.assert_close(cosine, x.double().cos().float(), rtol=0, atol=3e-7)


def test_signs_of_zeros_are_kept():
    x = torch.tensor([0.0, -0.0] * (SIZE // 2))
    for ours, theirs, name in zip(compiled("exact")(x), stacked(FUNCTIONS)(x), FUNCTIONS, strict=True):
        if name not in ("relu", "1 - x", "clamp"):  # where torch's own kernels differ in the sign
            assert torch.equal(torch.signbit(ours), torch.signbit(theirs)), name


def broadcasting(shapes: Iterable[Sequence[int]]) -> Case:
    return lambda a, b, c: torch.where(a > b, a * b, c) + c, [torch.randn(tuple(shape)) for shape in shapes]


def test_broadcasting():
    torch.manual_seed(0)
    shapes: list[Any] = [
        *(((), (), ()), ((), (3,), (2, 1)), ((1,), (5,), (4, 1, 5)), ((6, 1, 3), (2, 1), (1,)), ((2, 3), (1, 1), ())),
        *(((4,), (4,), (4,)), ((0, 2), (1, 1), (2,)), ((5, 1, 1), (1, 6, 1), (1, 1, 4)), ((3, 1, 2), (3, 4, 2), (2,))),
    ]
    assert_cases_equal_to_torch([broadcasting(one) for one in shapes])


@pytest.mark.slow
@MANY
@given(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=6))
def test_broadcasting_of_any_shapes(shapes: hnp.BroadcastableShapes):
    assert_cases_equal_to_torch([broadcasting(shapes.input_shapes)], atol=1e-6)  # a * b + c may round once


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "transpose": lambda x: x.transpose(0, -1),
    "slice": lambda x: x[1:],
    "every second": lambda x: x[..., ::2],
    "select": lambda x: x[0] if x.dim() > 1 else x,
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x.squeeze(),
    "flatten": lambda x: x.reshape(-1),
    "as a column": lambda x: x.reshape(-1, 1),
    "expand": lambda x: x.unsqueeze(-1).expand(*x.shape, 3),
    "two halves": lambda x: torch.cat([x[:1], x[1:] * 2]),
    "stack": lambda x: torch.stack([x, x + 1], -1),
    "double": lambda x: x * 2,
    "exp": torch.exp,
    "sum": lambda x: x.sum(0, keepdim=True),
    "largest": lambda x: x.amax(-1, keepdim=True),
}


def views(names: Sequence[str]) -> Case:
    def function(x: Tensor) -> Tensor:
        for name in names:
            x = VIEWS[name](x) if x.dim() else x
        return x + x.mean()

    return function, [torch.rand(4, 3, 5)]


def has_elements(case: Case) -> bool:
    function, inputs = case
    return function(*inputs).numel() > 0


def test_views_of_views():
    names, choose = list(VIEWS), random.Random(0)
    cases = [views(choose.choices(names, k=6)) for _ in range(24)]
    assert_cases_equal_to_torch([case for case in cases if has_elements(case)], rtol=2e-6, atol=1e-6)


@pytest.mark.slow
@MANY
@given(st.lists(st.sampled_from(list(VIEWS)), min_size=1, max_size=6))
def test_any_views_of_views(names: list[str]):
    if has_elements(views(names)):
        assert_cases_equal_to_torch([views(names)], rtol=2e-6, atol=1e-6)


def reductions(shape: Sequence[int], dims: list[int], keep: bool, first: float) -> Case:
    x = torch.randn(*shape)
    x.view(-1)[0] = first

    def function(x: Tensor) -> Tensor:
        y = x * 2
        results = [
            y.sum(dims, keep),
            y.mean(dims, keep),
            y.amax(dims, keep),
            torch.linalg.vector_norm(y, dim=dims, keepdim=keep),
        ]
        return torch.stack(results)

    return function, [x]


def test_reductions():
    torch.manual_seed(0)
    dims_of: dict[tuple[int, ...], list[list[int]]] = {
        (1,): [[0]],
        (33,): [[0]],
        (3, 4): [[0], [1]],
        (40, 7): [[0]],
        (40, 20): [[0], [1]],
        (5, 40): [[0, 1]],
        (2, 3, 40): [[0, 2], [1]],
        (9, 6, 5): [[0, 1]],
        (20, 30, 2): [[1]],
        (12, 1): [[1]],
    }
    firsts = cycle([1.0, float("nan"), float("inf")])
    cases = [
        reductions(shape, dims, len(shape) > 1, next(firsts)) for shape, several in dims_of.items() for dims in several
    ]
    assert_cases_equal_to_torch(cases, rtol=2e-6, atol=1e-5)


@pytest.mark.slow
@MANY
@given(st.data())
def test_any_reductions(data: st.DataObject):
    shape = data.draw(hnp.array_shapes(max_dims=3, max_side=40))
    dims = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    case = reductions(shape, dims, data.draw(st.booleans()), data.draw(MODERATE))
    assert_cases_equal_to_torch([case], rtol=2e-6, atol=1e-5)


def test_long_sums_keep_their_digits():
    def function(x: Tensor) -> Tensor:
        return torch.cat([x.sum(0), x.sum().reshape(1), x.t().mm(x).flatten()])

    x = torch.rand(40_000, 2)
    expected = function(x.double()).float()
    torch.testing.assert_close(CompiledFunction(function, x)(x), expected, rtol=2e-7, atol=0)


SIDES = [1, 2, 3, 5, 8, 13, 17, 32, 40]


def matrix_product(m: int, n: int, k: int, batch: Sequence[int], turned: Sequence[bool], last: float) -> Case:
    shapes = [(k, m) if turned[0] else (m, k), (n, k) if turned[1] else (k, n)]
    a, b = (torch.randn(*batch, *shape) for shape in shapes)
    a.view(-1)[-1] = last

    def function(a: Tensor, b: Tensor) -> Tensor:
        a, b = (one.transpose(-1, -2) if is_turned else one for one, is_turned in zip((a, b), turned, strict=True))
        return torch.bmm(a, b) if batch else torch.addmm(b[0], a, b, alpha=0.5)

    return function, [a, b]


def test_matrix_products():
    torch.manual_seed(0)
    choose, turns = random.Random(0), list(product([False, True], repeat=2))
    cases = [
        matrix_product(*choose.choices(SIDES, k=3), choose.choice([(), (), (3,)]), turns[number % 4], last)
        for number, last in enumerate([1.0, float("nan"), float("inf")] * 6)
    ]
    assert_cases_equal_to_torch(cases, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@MANY
@given(st.data())
def test_any_matrix_products(data: st.DataObject):
    m, n, k = (data.draw(st.sampled_from(SIDES)) for _ in range(3))
    turned, last = data.draw(st.tuples(st.booleans(), st.booleans())), data.draw(st.sampled_from([1.0, float("nan")]))
    case = matrix_product(m, n, k, data.draw(st.sampled_from([(), (3,)])), turned, last)
    assert_cases_equal_to_torch([case], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("turned", [False, True])
def test_products_of_many_terms(threads: int, turned: bool):
    """With two threads the BLAS multiplies them."""
    torch.set_num_threads(threads)
    a, b = torch.randn(130, 1100), torch.randn(1100, 70)
    expected = (a.double() @ b.double()).float()
    if turned:
        a, b = a.t().contiguous(), b.t().contiguous()
    function = CompiledFunction((lambda a, b: a.t().mm(b.t())) if turned else torch.mm, a, b)
    torch.testing.assert_close(function(a, b), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_products_of_few_columns(batch: Sequence[int], columns: int):
    """As of the gradients of a layer with few inputs. Those of a layer with few rows have the other layout."""
    torch.manual_seed(0)
    cases = [
        matrix_product(m, columns, 70, batch, (turned, False), 1.0) for m, turned in product((2, 50), (True, False))
    ]
    assert_cases_equal_to_torch(cases, rtol=1e-5, atol=1e-5)


def test_indices():
    def function(table: Tensor, rows: Tensor, one: Tensor) -> Tensor:
        results = [
            table[one],
            table.index_select(0, one),
            table.index_select(1, rows[1, 2:]),
            F.embedding(rows, table),
            torch.ops.aten.embedding_dense_backward(table[rows], rows, 7, 3, False),
        ]
        return torch.cat([result.reshape(-1) for result in results])

    rows = torch.tensor([[3, 0, 6], [6, 6, 1]])
    assert_equal_to_torch(function, torch.randn(7, 5), rows, rows[0].clone())


def test_an_index_out_of_range_gives_nan_and_reads_no_other_memory():
    function = CompiledFunction(lambda table, rows: F.embedding(rows, table), torch.randn(4, 3), torch.tensor([0, 3]))
    result = function(torch.randn(4, 3), torch.tensor([4, -(10**15)]))
    assert result.isnan().all()


def test_gradients_and_losses_of_unusual_numbers():
    """As torch's kernels give them; its own decompositions are not careful about NaN everywhere."""
    nan, inf, ops = float("nan"), float("inf"), torch.ops.aten
    x = torch.tensor([nan, inf, -inf, 0, -0.0, 1e-40, -1e-40, 88.5, -88.5, 104, -104, 20, 21, 3.4e38, 0.5, -0.5, 1])
    g, t = torch.full_like(x, 0.7), x.flip(0)

    def function(g: Tensor, x: Tensor, t: Tensor) -> Tensor:
        results = [
            ops.elu_backward(g, 1.5, 1.0, 1.0, False, x),
            ops.gelu_backward(g, x),
            ops.gelu_backward(g, x, approximate="tanh"),
            ops.silu_backward(g, x),
            ops.mish_backward(g, x),
            ops.softplus_backward(g, x, 1.0, 20.0),
            ops.tanh_backward(g, x),
            ops.sigmoid_backward(g, x),
            ops.leaky_relu_backward(g, x, 0.01, False),
            ops.threshold_backward(g, x, 0),
            ops.mse_loss(x, t, 0),
            ops.mse_loss_backward(g, x, t, 0),
            ops.huber_loss(x, t, 0, 0.7),
            ops.huber_loss_backward(g, x, t, 0, 0.7),
            ops.smooth_l1_loss(x, t, 0, 0.7),
            ops.smooth_l1_loss_backward(g, x, t, 0, 0.7),
            ops.binary_cross_entropy_with_logits(x, t, None, None, 0),
            ops.binary_cross_entropy_backward(g, x, t, None, 0),
            torch.stack([x, t]).softmax(0),
            torch.stack([x, t]).log_softmax(0),
        ]
        return torch.cat([result.reshape(-1) for result in results])

    assert_equal_to_torch(function, g, x, t, rtol=2e-6, atol=1e-6)


def test_operators_of_integers_and_of_rows_that_do_not_count():
    integers, x = torch.tensor([5, 3, 256, -7, 0, 1, 2, 9, -300, 4]), torch.randn(4, 10)
    x[1] = float("nan")

    def function(x: Tensor, n: Tensor) -> Tensor:
        targets, ops = torch.stack([n[5], n[0] - 105, n[6], n[4]]), torch.ops.aten  # the second is the ignored class
        counted = [ops.nll_loss_forward(x, targets, None, kind, -100)[0] for kind in range(3)]
        weighted = ops.nll_loss_forward(x, targets, (x[0] * 0 + 2).cos(), 1, -100)[0]
        ones = torch.ones(4, 1)
        _, of_weight, _ = ops.native_layer_norm_backward(
            x, x * 2, (10,), ones, ones * 3, x[0], x[2], [False, True, True]
        )
        results = [
            n.amax(),
            torch.logical_and(n, n + 1),
            torch.logical_and(x[0], n),
            torch.logical_not(n),
            torch.cat([n, x[0]]),
            torch.stack([n > 1, n < 3]),
            x[:, 2:][torch.stack([-n[5], n[4]])],  # -1 is the last row
            n.masked_fill(n > 1, 2**30 + 1) - 2**30,
            torch.relu(n + 2**30) - 2**30,
            x[:0].sum(0),
            torch.cat([x[:0], x]),
            *counted,
            weighted,
            of_weight,
        ]
        return torch.cat([result.float().reshape(-1) for result in results])

    assert_equal_to_torch(function, x, integers)


def test_gradients_of_losses_of_ignored_rows():
    torch.manual_seed(0)
    x, some, none = torch.randn(4, 3), torch.tensor([2, -100, 0, 1]), torch.full((4,), -100)
    weight, g, ops = torch.tensor([1.0, 0.5, 2.0]), torch.rand(4), torch.ops.aten

    def function(x: Tensor, some: Tensor, none: Tensor, weight: Tensor, g: Tensor) -> Tensor:
        results: list[Tensor] = []
        for target, classes, kind in product((some, none), (None, weight), range(3)):
            loss, total = ops.nll_loss_forward(x, target, classes, kind, -100)
            gradient = ops.nll_loss_backward(g if kind == 0 else g[0], x, target, classes, kind, -100, total)
            results += [loss.reshape(-1), gradient.reshape(-1)]
        return torch.cat(results)

    assert_equal_to_torch(function, x, some, none, weight, g)


@pytest.mark.parametrize("operator", [torch.bitwise_and, lambda a, b: ~(a + b)])
def test_bits_of_integers_are_not_compiled(operator: Callable[..., Tensor]):
    with pytest.raises(Uncompilable, match="the bits of integers"):
        CompiledFunction(operator, torch.tensor([1, 2]), torch.tensor([3, 4]))


def test_similar_computations_are_not_mixed_up():
    """The result of detach is at the same place as its argument."""

    def times(x: Tensor, is_square: bool) -> Tensor:
        y = x.detach()
        z = y.exp()
        return z * z if is_square else y * z

    for is_square in (False, True):
        assert_equal_to_torch(partial(times, is_square=is_square), torch.randn(5))


def test_in_place_operators_and_backward_of_views():
    def function(x: Tensor) -> Tensor:
        y = x * 1
        y.add_(2).mul_(x).sub_(0.5)
        zeros = torch.zeros_like(x)
        part = torch.ops.aten.slice_backward(x[1:3], x.shape, 0, 1, 3, 1)
        row = torch.ops.aten.select_backward(x[2], x.shape, 0, 2)
        return y + zeros.fill_(1.5) + part + row

    assert_equal_to_torch(function, torch.randn(4, 6))
