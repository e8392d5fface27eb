"""RealMLP and its parts, compared with the formulas of the papers, written again in NumPy and plain PyTorch."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from conftest import config_of, one_in
from models.each_engine import losses_by_engine
from torch import Tensor, nn

from exp.models.feature_embedding import FeatureEmbedding
from exp.models.mlp import MLP
from exp.models.ntk_linear import NTKLinear
from exp.models.number_embeddings import PBLD, Periodic, Piecewise
from exp.models.realmlp import RealMLP
from exp.models.scheduled_dropout import ScheduledDropout
from exp.training.build import build


def plain_td_s(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    """RealMLP-TD-S as in the authors' standalone code: a diagonal weight, then x W / sqrt(d) + b with SELU between."""
    x = x * parameters["scale"][None, :]
    for layer in (0, 2, 4, 6):
        weight, bias = parameters[f"layers.{layer}.weight"], parameters[f"layers.{layer}.bias"]
        x = (1 / math.sqrt(weight.shape[1])) * (x @ weight.T) + bias[None, :]
        x = x if layer == 6 else torch.selu(x)
    return x


def test_forward_passes_and_updates_are_those_of_the_authors_code():
    torch.manual_seed(0)
    model = RealMLP(7, 3, hidden=(16, 16, 16)).double()  # where Adam divides a gradient by itself, rounding counts
    plain = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    x, y = torch.randn(20, 7, dtype=torch.float64), torch.randint(3, (20,))
    factors = {"scale": 6.0, "bias": 0.1}
    optimizers = [
        torch.optim.Adam(
            [{"params": [p], "lr": 0.04 * factors.get(name.rpartition(".")[2], 1.0)} for name, p in named],
            betas=(0.9, 0.95),
        )
        for named in (model.named_parameters(), plain.items())
    ]
    for _ in range(3):
        outputs = [model(x), plain_td_s(plain, x)]
        torch.testing.assert_close(outputs[0], outputs[1], atol=1e-6, rtol=0)
        for optimizer, output in zip(optimizers, outputs, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(output, y, label_smoothing=0.1).backward()
            optimizer.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter, plain[name], atol=1e-6, rtol=0)
    assert outputs[0].any()


def test_initial_weights_are_normal_and_the_last_layer_is_zero():
    torch.manual_seed(0)
    model = RealMLP(100, 3)
    first, last = model.layers[0], model.layers[-1]
    assert isinstance(first, NTKLinear)
    assert isinstance(last, NTKLinear)
    assert first.weight.std().item() == pytest.approx(1, abs=0.02)
    assert first.bias.std().item() == pytest.approx(1, abs=0.15)
    assert not last.weight.any()
    assert not last.bias.any()
    assert not model(torch.randn(5, 100)).any()


def test_layers_fitted_to_rows_have_outputs_of_deviation_1_and_zeros_among_them():
    torch.manual_seed(0)
    model, x = RealMLP(9, 2, init="data", parametric=True, dropout=0.5), 100 * torch.randn(500, 9) + 30
    model.initialize(x)
    for layer in model.layers:
        if isinstance(layer, NTKLinear):
            x = layer(x)
            torch.testing.assert_close(x.std(0, correction=0), torch.ones(x.shape[1]), atol=1e-4, rtol=1e-4)
            assert ((x.min(0).values < 0) & (x.max(0).values > 0)).all()
        elif not isinstance(layer, ScheduledDropout):
            x = layer(x)


def test_a_constant_input_is_fitted_without_a_nan():
    model = RealMLP(1, 1, init="data")
    model.initialize(torch.ones(10, 1))
    assert model(torch.ones(10, 1)).isfinite().all()


def test_pbld_is_the_number_beside_a_projection_of_cosines():
    torch.manual_seed(0)
    layer, x = PBLD(3, dim=4, frequencies=5), torch.randn(6, 3)
    f, phase, projection, offset = (p.detach().double().numpy() for p in layer.parameters())
    for row, number in np.ndindex(6, 3):
        value = float(x[row, number])
        waves = np.cos(2 * np.pi * value * f[number, 0] + phase[number, 0])
        expected = np.append(waves @ projection[number] + offset[number, 0], value)
        np.testing.assert_allclose(layer(x)[row, number].detach(), expected, atol=1e-5)


def test_periodic_is_a_relu_of_a_projection_of_cosines_and_sines():
    torch.manual_seed(0)
    layer, x = Periodic(2, dim=4, frequencies=5, sigma=1.0), torch.randn(6, 2)
    f, projection, offset = (p.detach().double().numpy() for p in layer.parameters())
    for row, number in np.ndindex(6, 2):
        angle = 2 * np.pi * float(x[row, number]) * f[number, 0]
        waves = np.concatenate([np.cos(angle), np.sin(angle)])
        expected = np.maximum(waves @ projection[number] + offset[number, 0], 0)
        np.testing.assert_allclose(layer(x)[row, number].detach(), expected, atol=1e-4)


def test_piecewise_is_linear_at_first_and_then_bends_at_the_quantiles_of_the_rows():
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    # Many values, three values, one value.
    rows = torch.tensor(np.stack([draw.normal(size=200), draw.integers(3, size=200), np.full(200, 7)], 1)).float()
    layer = Piecewise(3, dim=2, bins=8)
    layer.initialize(rows)
    x = torch.tensor([[-9.0, -1.0, 7.0], [0.1, 0.5, 8.0], [9.0, 2.5, 6.0]])
    linear = x[:, :, None] * layer.weight + layer.bias
    torch.testing.assert_close(layer(x), linear)
    with torch.no_grad():
        layer.projection.normal_()
    for row, number in np.ndindex(3, 3):
        edges = np.unique(np.quantile(rows[:, number].double(), np.linspace(0, 1, 9)).astype(np.float32))
        parts = np.zeros(8)
        for bin_ in range(len(edges) - 1):
            part = (float(x[row, number]) - edges[bin_]) / (edges[bin_ + 1] - edges[bin_])
            low = -np.inf if bin_ == 0 else 0
            parts[bin_] = np.clip(part, low, np.inf if bin_ == len(edges) - 2 else 1)
        expected = linear[row, number].detach().numpy() + parts @ layer.projection[number].detach().numpy()
        np.testing.assert_allclose(layer(x)[row, number].detach(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("embedding", ["pbld", "periodic", "piecewise"])
def test_embedded_numbers_come_before_the_other_features_as_they_are(embedding: str):
    layer, x = FeatureEmbedding([1, 0, 1, 0], embedding, category_dim=8), torch.randn(5, 4)
    layer.initialize(x)
    assert layer(x).shape == (5, layer.width)
    assert torch.equal(layer(x)[:, -2:], x[:, [0, 2]])
    assert torch.equal(layer(x)[:, :-2], layer.embed(x[:, [1, 3]]).flatten(1))


@pytest.mark.parametrize("model", [MLP, RealMLP])
def test_a_table_without_numbers_can_have_an_embedding(model: Any):
    assert model(2, 1, embedding="piecewise", cardinalities=[1, 1])(torch.zeros(3, 2)).shape == (3, 1)


def test_dropout_falls_to_0_in_the_second_half_of_the_run():
    torch.manual_seed(0)
    layer, x = ScheduledDropout(0.4, steps=8), torch.ones(200, 500)
    shares = [float((layer(x) == 0).float().mean()) for _ in range(9)]
    flat_cosine = [1.0, 1, 1, 1, 1, *(0.5 + 0.5 * math.cos(math.pi * (t / 8 - 0.5) / 0.5) for t in (5, 6, 7, 8))]
    np.testing.assert_allclose(shares, 0.4 * np.array(flat_cosine), atol=0.01)
    assert torch.equal(layer.eval()(x), x)


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    assert float(ScheduledDropout(0.4, steps=8)(torch.ones(500, 500)).mean()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("preset", ["realmlp", "realmlp_s"])
def test_replay_has_the_bits_of_eager_steps(preset: str):
    eager, replayed = losses_by_engine(f"experiment={preset}", "dataset=wine", "epochs=9", "log_every=1")
    assert len(eager) == 9
    assert eager == replayed


def test_a_number_for_each_kind_of_target_is_that_of_the_datas_kind():
    kinds = {"iris": (0.04, "selu", "CrossEntropyLoss"), "diabetes": (0.07, "mish", "MSELoss")}
    for dataset, (lr, activation, loss) in kinds.items():
        config = build(config_of("experiment=realmlp_s", f"dataset={dataset}", "epochs=1")).config
        assert (config.optimizer["lr"], config.model["activation"]) == (lr, activation)
        assert config.loss["_target_"].endswith(loss)
    config = build(config_of("experiment=realmlp_s", "dataset=iris", "optimizer.lr=0.5", "epochs=1")).config
    assert config.optimizer["lr"] == 0.5


OTHERS = [
    "optimizer=sgd optimizer.momentum=0.5",
    "model=tabular_mlp optimizer=adam",
    "model=linear optimizer=lbfgs",
    "scheduler=cosine",
    "loss=huber",
    "batching=online",
    "batching=full",
]


@pytest.mark.parametrize(("other", "preset"), one_in(2, product(OTHERS, ["realmlp", "realmlp_s", "tabm"])))
def test_another_option_takes_the_place_of_the_presets(preset: str, other: str):
    """Without an argument that only the preset's own option has, and with the batches of the option."""
    experiment = build(config_of("dataset=diabetes", f"experiment={preset}", *other.split(), "epochs=1"))
    train = len(experiment.data.train)
    sizes = {"batching=online": 1, "batching=full": train}
    assert experiment.batches.size == sizes.get(other, 32 if preset == "tabm" else min(256, train))
