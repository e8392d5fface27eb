"""TabM: the outputs of its members, what they are trained by and predict, and its initial parameters."""

from typing import Any

import numpy as np
import pytest
import torch
from conftest import config_of, logged_steps
from models.each_engine import losses_by_engine
from torch import Tensor, nn

from exp.data.splits import Split
from exp.errors import ConfigError
from exp.models.members import MemberLoss
from exp.models.tabm import TabM
from exp.training.build import build
from exp.training.loop import Training


def numbers_of(model: nn.Module) -> dict[str, Any]:
    return {name: p.detach().double().numpy() for name, p in model.named_parameters()}


def set_random(model: nn.Module) -> None:
    """Give all parameters values, also those that are all equal at first."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 4)


@pytest.mark.parametrize("kind", ["mini", "full"])
def test_each_member_is_a_perceptron_with_scales_of_its_own(kind: str):
    torch.manual_seed(0)
    model, x = TabM(5, 2, hidden=[7, 6], k=3, kind=kind), torch.randn(4, 5)
    set_random(model)
    p, outputs = numbers_of(model), model(x).detach().numpy()
    assert outputs.shape == (4, 3, 2)
    for member in range(3):
        z = x.double().numpy() * p["layers.0.scale"][member]
        if kind == "mini":
            z = np.maximum(z @ p["layers.1.weight"].T + p["layers.1.bias"], 0)
            z = np.maximum(z @ p["layers.3.weight"].T + p["layers.3.bias"], 0)
            last = "layers.5"
        else:
            z = np.maximum((z @ p["layers.1.weight"].T) * p["layers.2.scale"][member] + p["layers.2.bias"][member], 0)
            z = (z * p["layers.4.scale"][member]) @ p["layers.5.weight"].T
            z = np.maximum(z * p["layers.6.scale"][member] + p["layers.6.bias"][member], 0)
            last = "layers.8"
        expected = z @ p[f"{last}.weight"][member] + p[f"{last}.bias"][member]
        np.testing.assert_allclose(outputs[:, member], expected, atol=1e-5)


def test_numbers_are_embedded_before_the_scales():
    torch.manual_seed(0)
    model = TabM(3, 1, hidden=4, k=2, embedding="piecewise", cardinalities=[1, 0, 0])
    x = torch.randn(6, 3)
    model.initialize(x)
    assert model.features is not None
    embedded = model.features(x)
    assert embedded.shape == (6, 33)
    assert torch.equal(model(x), model.layers(embedded.unsqueeze(1)))


def test_a_prediction_is_the_mean_of_the_members_probabilities():
    torch.manual_seed(0)
    for meaning, outputs, probabilities in (
        ("classes", 3, lambda z: z.double().softmax(-1)),
        ("logit", 1, lambda z: z.double().sigmoid()),
        ("value", 2, lambda z: z.double()),
    ):
        model, x = TabM(5, outputs, k=4, output_meaning=meaning), 20 * torch.randn(30, 5)
        members = model(x)
        averaged = model.eval()(x)
        assert averaged.shape == (30, outputs)
        torch.testing.assert_close(probabilities(averaged), probabilities(members).mean(1), atol=1e-5, rtol=1e-4)


def test_a_prediction_of_members_that_are_certain_is_finite():
    for meaning in ("classes", "logit"):
        model = TabM(1, 2, k=2, output_meaning=meaning)
        assert model.average(torch.tensor([[[90.0, -90.0], [95.0, -95.0]]])).isfinite().all()


LOSSES = {"iris": "cross_entropy", "moons": "bce_with_logits", "diabetes": "huber"}


@pytest.mark.parametrize("dataset", LOSSES)
def test_the_loss_of_training_is_the_mean_of_the_members_losses(dataset: str):
    weights = "" if dataset == "diabetes" else "loss.class_weights=balanced"
    line = f"dataset={dataset} loss={LOSSES[dataset]} model=tabm model.k=3 model.dropout=0 {weights}"
    experiment = build(config_of(*line.split(), "batching=full", "epochs=1", "threads=1"))
    learner, train = experiment.learner, experiment.data.train
    members: Tensor = experiment.model.train()(train.x).detach()
    losses = [float(experiment.objective.criterion(members[:, member], train.target)) for member in range(3)]
    (trained,) = logged_steps(Training(learner, experiment.batches, experiment.data, experiment.plan))
    assert trained.metrics.loss == pytest.approx(np.mean(losses), rel=1e-6)


def test_metrics_of_training_are_those_of_the_average():
    experiment = build(
        config_of(*"dataset=iris model=tabm model.k=3 model.dropout=0 batching=full epochs=1 threads=1".split())
    )
    before = experiment.learner.evaluate(experiment.data.train).values()["accuracy"]
    events = list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
    (trained,) = logged_steps(events)
    assert trained.metrics.values()["accuracy"] == before


def test_rows_with_weights_have_them_for_each_member(tmp_path: Any):
    draw = np.random.default_rng(0)
    x, w = draw.normal(size=(60, 3)), draw.exponential(size=60)
    np.savez(tmp_path / "rows.npz", x=x, y=x.sum(1), w=w)
    line = f"dataset=arrays dataset.path={tmp_path}/rows.npz dataset.weight=w model=tabm model.k=3 threads=1"
    experiment = build(config_of(*line.split()))
    train: Split = experiment.data.train
    members: Tensor = experiment.model.train()(train.x).detach()
    criterion = experiment.objective.criterion
    expected = torch.stack([criterion(members[:, member], train.target) for member in range(3)]).mean()
    torch.testing.assert_close(MemberLoss(criterion)(members, train.target), expected)


def first_scale(model: TabM) -> Tensor:
    return next(model.layers.parameters()).detach()


def test_initial_scales_are_normal_with_an_embedding_and_otherwise_signs():
    torch.manual_seed(0)
    signs = first_scale(TabM(2000, 1, k=16))
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 0.02
    normal = first_scale(TabM(2000, 1, k=16, embedding="pbld", cardinalities=[0] * 2000))[:, ::4]
    assert abs(float(normal.mean())) < 0.02
    assert float(normal.std()) == pytest.approx(1, abs=0.02)
    assert float((normal.abs() < 1).float().mean()) == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("embedding", [None, "piecewise"])
def test_all_inputs_of_a_column_have_the_same_initial_scale(embedding: str | None):
    torch.manual_seed(0)
    cardinalities = [0, 1, 1, 1, 0, 1, 1, 5]  # column 2 has a mark of empty cells, and column 4 is one of 5 categories
    columns = [0, 1, 1, 1, 2, 2, 3, 4]
    if embedding is None:
        cardinalities[-1] = 1
    model = TabM(8, 1, k=40, embedding=embedding, cardinalities=cardinalities, columns=columns)
    scale = first_scale(model)
    chunks = [16, 16, 3, 1, 1, 8] if embedding else [1, 3, 1, 1, 1, 1]
    parts = scale.split(chunks, dim=1)
    for part in parts:
        assert (part == part[:, :1]).all()
    assert len({tuple(part[:, 0].tolist()) for part in parts}) == 6


def test_initial_layers_are_those_of_torch_and_of_each_member():
    torch.manual_seed(0)
    p = numbers_of(TabM(100, 3, hidden=[256, 64], k=16, kind="full"))
    uniform = (("layers.1.weight", 100), ("layers.2.bias", 100), ("layers.5.weight", 256), ("layers.8.weight", 64))
    for name, inputs in (*uniform, ("layers.8.bias", 64)):
        bound = inputs**-0.5
        assert abs(p[name]).max() <= bound
        assert np.std(p[name]) == pytest.approx(bound / 3**0.5, rel=0.15)
    assert (p["layers.2.bias"] == p["layers.2.bias"][0]).all()
    assert all((p[f"layers.{layer}.scale"] == 1).all() for layer in (2, 4, 6))
    assert len(np.unique(p["layers.8.weight"][:, 0, 0])) == 16


@pytest.mark.parametrize("line", ["experiment=tabm", "experiment=tabm model.kind=full loss.class_weights=balanced"])
def test_replay_has_the_bits_of_eager_steps(line: str):
    eager, replayed = losses_by_engine(*line.split(), "dataset=wine", "model.k=4", "epochs=4", "log_every=1")
    assert len(eager) == 16
    assert eager == replayed


def test_a_pass_without_training_has_the_fewer_rows_the_more_members(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("exp.training.member_models.MAX_ROWS", 32)
    experiment = build(config_of("dataset=iris", "model=tabm", "model.k=4", "threads=1"))
    sizes: list[int] = []
    experiment.model.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    experiment.learner.predict(experiment.data.val.x)
    assert sizes == [8, 8, 8, 6]


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be one of mini, full, not 'packed'"):
        TabM(2, 1, kind="packed")


def test_a_loss_of_log_probabilities_is_refused():
    with pytest.raises(ConfigError, match="NLLLoss needs log-probabilities, and the members of TabM have logits"):
        build(config_of("dataset=iris", "model=tabm", "loss._target_=torch.nn.NLLLoss", "~loss.label_smoothing"))
