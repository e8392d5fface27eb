import pytest
import torch
from torch import nn

from exp.config.target_kind import TargetKind
from exp.data.splits import Split
from exp.errors import ConfigError
from exp.training.make_objective import make_objective
from exp.training.metrics import AccuracySum


def names(classes: int | None) -> TargetKind:
    return TargetKind("numbers", ("y",)) if classes is None else TargetKind("classes", tuple(map(str, range(classes))))


@pytest.mark.parametrize(
    ("criterion", "output", "classes", "width", "dtype", "shape"),
    [
        (nn.CrossEntropyLoss(), "classes", 3, 3, torch.int64, (4,)),
        (nn.CrossEntropyLoss(), "classes", 2, 2, torch.int64, (4,)),
        (nn.BCEWithLogitsLoss(), "logit", 2, 1, torch.float32, (4, 1)),
        (nn.BCELoss(), "probability", 2, 1, torch.float32, (4, 1)),
        (nn.MSELoss(), "value", 2, 1, torch.float32, (4, 1)),
        (nn.MSELoss(), "value", None, 1, torch.float32, (4, 1)),
    ],
)
def test_a_loss_implies_width_and_target(criterion, output, classes, width, dtype, shape):
    objective = make_objective(criterion, output, names(classes))
    target = objective.target(torch.zeros(4, 1) if classes is None else torch.arange(4) % classes)
    assert (objective.outputs, target.dtype, tuple(target.shape)) == (width, dtype, shape)
    # Broadcasting would turn a wrong shape into a wrong number silently.
    assert width == 1 or output == "classes"
    assert criterion(torch.rand(4, width), target).shape == ()


def test_there_is_one_output_per_target():
    assert make_objective(nn.MSELoss(), "value", TargetKind("numbers", ("a", "b", "c"))).outputs == 3


MEANINGS = [
    (nn.CrossEntropyLoss(), "classes"),
    (nn.BCEWithLogitsLoss(), "logit"),
    (nn.BCELoss(), "probability"),
    (nn.MSELoss(), "value"),
]


@pytest.mark.parametrize(("criterion", "output"), MEANINGS[:3])
def test_a_classification_loss_refuses_a_numeric_target(criterion: nn.Module, output: str):
    with pytest.raises(ConfigError, match="needs a classification target") as caught:
        make_objective(criterion, output, names(None))
    assert caught.value.fix == "loss=mse"


@pytest.mark.parametrize(("criterion", "output"), MEANINGS[1:])
def test_one_output_needs_two_classes(criterion: nn.Module, output: str):
    with pytest.raises(ConfigError, match="this dataset has 3") as caught:
        make_objective(criterion, output, names(3))
    assert caught.value.fix == "loss=cross_entropy" + (
        ", or dataset.task=regression for a table" if output == "value" else ""
    )


@pytest.mark.parametrize(("criterion", "required"), MEANINGS)
@pytest.mark.parametrize("output", ["classes", "logit", "probability", "value", None])
def test_a_loss_allows_one_meaning_of_the_output(criterion: nn.Module, required: str, output: str | None):
    if output == required:
        make_objective(criterion, output, names(2))
    else:
        with pytest.raises(ConfigError, match=r"loss\.output must be") as caught:
            make_objective(criterion, output, names(2))
        assert caught.value.fix == f"loss.output={required}"


def test_half_counts_as_the_second_class():
    logit = make_objective(nn.BCEWithLogitsLoss(), "logit", names(2))
    value = make_objective(nn.MSELoss(), "value", names(2))
    rows = Split(torch.zeros(2, 2), torch.zeros(2, 1))
    assert logit.prediction(torch.tensor([[-0.1], [0.0], [0.1]])).tolist() == [0, 1, 1]
    assert value.prediction(torch.tensor([[0.4], [0.5], [0.6]])).tolist() == [0, 1, 1]
    score = value.score(torch.tensor([[0.4], [0.6]]), torch.tensor([[0.0], [0.0]]), [1, 1], rows)
    assert isinstance(score, AccuracySum)
    assert (score.count.tolist(), score.correct.tolist()) == ([1, 1], [1, 0])
