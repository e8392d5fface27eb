"""Weights of classes in the loss: the references are plain PyTorch, to the bit, and scikit-learn's weights."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import config_of, list_evaluations, logged_steps, one_in
from promises.plain_script import Script
from promises.test_a_run_is_the_plain_script import DATASETS, assert_same_bits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn, optim

from exp.config.target_kind import TargetKind
from exp.data.batches import Position
from exp.errors import ConfigError
from exp.training.baseline import compare_with_baseline
from exp.training.build import Experiment, build
from exp.training.loop import Training
from exp.training.metrics import AccuracySum, MetricSums


class WeightedByClass(nn.Module):
    """The mean of a binary loss, weighted by class, as a person would write it."""

    def __init__(self, criterion: nn.Module, weights: list[float]):
        super().__init__()
        self.criterion, self.weights = criterion, torch.tensor(weights)

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        w = self.weights[y[:, 0].long()]
        return (self.criterion(output, y)[:, 0] * w).sum() / w.sum()


WEIGHTS = [1.0, 3.7]
BINARY = {
    "bce_with_logits": nn.BCEWithLogitsLoss(reduction="none"),
    "bce": nn.BCELoss(reduction="none"),
    "mse": nn.MSELoss(reduction="none"),
}


@pytest.mark.parametrize(
    ("loss", "batching", "engine"),
    one_in(3, product(["cross_entropy", *BINARY], ["full", "minibatch"], ["eager", "replay"])),
)
def test_a_run_with_class_weights_is_the_plain_script(loss: str, batching: str, engine: str):
    x, y = DATASETS["cancer"]()
    criterion = (
        nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS))
        if loss == "cross_entropy"
        else WeightedByClass(BINARY[loss], WEIGHTS)
    )
    last = "sigmoid" if loss == "bce" else None
    size = None if batching == "full" else 10
    script = Script(
        x,
        y,
        criterion,
        optim.SGD,
        {"lr": 0.02},
        standardize=True,
        outputs=2 if loss == "cross_entropy" else 1,
        hidden=[10],
        last=last,
        batch_size=size,
        shuffle=size is not None,
        epochs=12 if size is None else 3,
    )
    words = f"loss={loss} batching={batching} model.output_activation={last or 'null'} epochs={script.epochs}"
    assert_same_bits(script, [*words.split(), f"loss.class_weights={WEIGHTS}"], engine)


@pytest.mark.parametrize(
    ("words", "criterion"),
    [
        ("loss=cross_entropy +loss.weight=[1,20]", nn.CrossEntropyLoss(weight=torch.tensor([1.0, 20.0]))),
        ("loss=bce_with_logits +loss.pos_weight=20", nn.BCEWithLogitsLoss(pos_weight=torch.tensor(20.0))),
        ("loss=bce_with_logits +loss.pos_weight=[2.5]", nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.5]))),
        ("loss=bce_with_logits +loss.weight=3", nn.BCEWithLogitsLoss(weight=torch.tensor(3.0))),
    ],
)
def test_a_number_or_list_for_a_tensor_of_the_loss_is_that_tensor(words: str, criterion: nn.Module):
    x, y = DATASETS["cancer"]()
    outputs = 2 if isinstance(criterion, nn.CrossEntropyLoss) else 1
    options: dict[str, Any] = {"hidden": [10], "batch_size": 10, "shuffle": True, "epochs": 2}
    script = Script(x, y, criterion, optim.SGD, {"lr": 0.02}, standardize=True, outputs=outputs, **options)
    assert_same_bits(script, [*words.split(), "epochs=2"])


@pytest.mark.parametrize("name", ["cancer", "iris", "digits"])
def test_balanced_weights_are_those_of_scikit_learn(name: str):
    experiment = build(config_of(f"dataset={name}", "loss=cross_entropy", "loss.class_weights=balanced"))
    y = experiment.data.train.y.numpy()
    expected = compute_class_weight("balanced", classes=np.unique(y), y=y)
    assert experiment.data.preprocessing.class_weights == pytest.approx(tuple(expected), rel=1e-12)


def test_a_class_without_training_rows_weighs_1(tmp_path: Path):
    rows = [f"{i},{'abc'[i % 2 if i < 30 else 2]},{'train' if i < 30 else 'test'}" for i in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,part", *rows]))
    words = f"dataset=table dataset.path={tmp_path}/rows.csv dataset.target=y dataset.split_column=part"
    experiment = build(config_of(*words.split(), "loss.class_weights=balanced", "dataset.kinds={x: number}"))
    y = experiment.data.train.y.numpy()
    expected = compute_class_weight("balanced", classes=np.unique(y), y=y)
    assert experiment.data.preprocessing.class_weights == pytest.approx((*expected, 1.0))


def final(experiment: Experiment) -> dict[str, dict[str, float]]:
    events = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    return {event.split: event.metrics.values() for event in list_evaluations(events)}


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits"])
def test_the_loss_is_that_of_scikit_learn_and_the_accuracy_has_no_class_weights(loss: str):
    experiment = build(config_of(f"loss={loss}", "loss.class_weights={malignant: 9}", "epochs=3"))
    values = final(experiment)
    for name, split in experiment.data.splits.items():
        output = experiment.learner.predict(split.x)
        probabilities = experiment.objective.probabilities(output.double())
        assert probabilities is not None
        y = split.y.reshape(-1).long().numpy()
        weights = np.where(y == 0, 9.0, 1.0)
        assert values[name]["loss"] == pytest.approx(log_loss(y, probabilities.numpy(), sample_weight=weights), 1e-6)
        assert values[name]["accuracy"] == pytest.approx(accuracy_score(y, probabilities.numpy().argmax(1)))


@pytest.mark.parametrize("words", ["loss=cross_entropy", "loss=bce_with_logits"])
def test_windows_add_weighted_losses_and_weights(words: str):
    """A window of 5 batches of 7 rows, the last with 1 row fewer."""
    options = f"{words} batching.batch_size=7 epochs=2 threads=1 eval_every=1epoch".split()
    single, joint = (
        [step.metrics for step in logged_steps(Training(e.learner, e.batches, e.data, e.plan))]
        for e in (
            build(config_of(*options, "loss.class_weights={malignant: 9}", f"log_every={every}")) for every in (1, 49)
        )
    )
    for start, window in zip(range(0, 98, 49), joint, strict=True):
        parts = single[start : start + 49]
        weights = [part.weight or 0.0 for part in parts]
        assert window.weight == pytest.approx(sum(weights))
        assert window.loss == pytest.approx(np.average([part.loss for part in parts], weights=weights), rel=1e-12)
        assert window.count == sum(part.count for part in parts) == 341


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        ("loss.class_weights={malign: 2}", "unknown class 'malign' (available: malignant, benign)", "{malignant: 2}"),
        ("loss.class_weights=[1,2,3]", "a number for each of the 2 classes (malignant, benign)", "{benign: 20}"),
        ("loss.class_weights=balance", "one of null, balanced", "loss.class_weights=balanced"),
        ("loss.class_weights={benign: -1}", "a number > 0 for each class", "loss.class_weights={benign: 1}"),
        ("loss.class_weights={zebra: 7}", "unknown class 'zebra'", "{CLASS: 7}"),
        ("dataset=diabetes;loss.class_weights=balanced", "this dataset's target is numeric", "loss.class_weights=null"),
        ("+loss.weight=[1,2,3]", "a number for each of the 2 classes", "'loss.class_weights={benign: 20}'"),
        ("+loss.weight=[1,2];loss.class_weights=balanced", "cannot be combined", "loss.class_weights=null"),
        ("loss=bce_with_logits;+loss.weight=[1,20]", "must be one number for BCEWithLogitsLoss", "class_weights=[1.0"),
        ("loss=bce_with_logits;+loss.pos_weight=[1,20]", "must be one number", "loss.pos_weight=20"),
        ("+loss.weight=[1,-2]", "loss.weight must be a number >= 0, or a list of them", "loss.weight=20"),
        ("loss.class_weights=balanced;batching=online", "weights have no effect", "batching=minibatch"),
    ],
)
def test_what_cannot_be_weighed_is_refused_with_a_cure(words: str, message: str, fix: str):
    with pytest.raises(ConfigError) as error:
        build(config_of(*words.split(";")))
    assert message in str(error.value)
    assert fix in str(error.value.fix)


@pytest.mark.parametrize("words", ["loss.class_weights={benign: 99}", "loss=bce_with_logits +loss.pos_weight=99"])
def test_weights_of_classes_give_up_accuracy_without_a_warning(words: str):
    plain = build(config_of("epochs=1", "optimizer.lr=1e-9"))
    weighted = build(config_of("epochs=1", "optimizer.lr=1e-9", *words.replace(" +", ";+").split(";")))
    for experiment, expected in ((plain, 2), (weighted, 1)):
        metrics = {name: experiment.learner.evaluate(split) for name, split in experiment.data.splits.items()}
        bad = {**metrics, "test": MetricSums(114, 100.0, AccuracySum(114, 3))}
        assert (
            len(list(compare_with_baseline(experiment.objective, experiment.data, bad, Position(1, 1, 1)))) == expected
        )


def test_a_loss_without_the_losses_of_rows_is_refused():
    from exp.training.weights import weigh

    class Own(nn.Module):
        def forward(self, output: Tensor, y: Tensor) -> Tensor:
            return (output - y).square().mean()

    with pytest.raises(ConfigError, match="no argument 'reduction'"):
        weigh(Own(), "value", TargetKind("classes", ("a", "b")), [1.0, 2.0])

    class Ignores(Own):
        reduction = "mean"

    with pytest.raises(ConfigError, match="must return the loss of each row"):
        weigh(Ignores(), "value", TargetKind("classes", ("a", "b")), [1.0, 2.0])(torch.zeros(3, 1), torch.zeros(3, 1))
