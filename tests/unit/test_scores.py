"""What the report says of a model, against scipy and scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from torch import nn

from exp.data.columns import Column, Preprocessing
from exp.data.split import Data, Split
from exp.intervals import intervals, row_losses, wilson
from exp.objectives import objective_of
from exp.scores import Calibration, Ranking, by_class, confusion
from exp.worst import most_wrong

scores_of_rows = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(is_it for is_it, _ in rows) < len(rows)
)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_accuracys_interval_is_wilsons(seen):
    right, count = seen
    other = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert wilson(right, count) == pytest.approx((other.low, other.high), abs=1e-12)


@given(scores_of_rows)
def test_ranking_is_that_of_scikit_learn(rows):
    positive, score = np.array([p for p, _ in rows]), np.array([s / 8 for _, s in rows])
    ours = Ranking.of(positive, score)
    false, true, _ = metrics.roc_curve(positive, score, drop_intermediate=False)
    assert np.allclose(ours.false, false)
    assert np.allclose(ours.true, true)
    assert ours.area == pytest.approx(metrics.roc_auc_score(positive, score))
    assert ours.average == pytest.approx(metrics.average_precision_score(positive, score))
    precision, recall, _ = metrics.precision_recall_curve(positive, score)
    assert np.allclose(ours.precision, precision[::-1])
    assert np.allclose(ours.true, recall[::-1])


def test_calibration_is_that_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    draw = np.random.default_rng(3)
    sure = draw.uniform(0.5, 1, 400)
    right = draw.uniform(size=400) < sure**2
    ours = Calibration.of(sure, right)
    shares, means = calibration_curve(right, sure, n_bins=10)
    assert np.allclose(ours.sure, means)
    assert np.allclose(ours.right, shares)
    counts = np.histogram(sure, np.linspace(0, 1, 11))[0]
    assert ours.error == pytest.approx((counts[counts > 0] * abs(shares - means)).sum() / 400)


def of_classes(classes: int, n: int = 60) -> tuple[Split, nn.Linear]:
    torch.manual_seed(0)
    net = nn.Linear(3, classes)
    return Split(torch.randn(n, 3), torch.randint(classes, (n,)), np.arange(n) + 1), net


def test_classes_are_told_as_scikit_learn_tells_them():
    split, net = of_classes(4)
    objective = objective_of(nn.CrossEntropyLoss(), "classes", ("a", "b", "c", "d"))
    predicted = net(split.x).argmax(1)
    counts = confusion(split, 4, objective, net)
    assert (counts == metrics.confusion_matrix(split.y, predicted)).all()
    theirs = metrics.precision_recall_fscore_support(split.y, predicted, zero_division=np.nan)
    ours = by_class(("a", "b", "c", "d"), counts)
    for name, of_all in zip(("precision", "recall", "f1", "rows"), theirs, strict=True):
        assert np.allclose([getattr(one, name) for one in ours], of_all, equal_nan=True), name


def test_a_class_that_no_row_is_of_has_no_recall():
    told = by_class(("a", "b"), np.array([[3, 0], [0, 0]]))[1]
    assert [told.rows, str(told.precision), str(told.recall)] == [0, "nan", "nan"]


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_an_interval_holds_the_truth_in_95_of_100_samples(kind: str):
    """Of many samples of rows, the measures of all rows lie in about 95 % of the intervals."""
    torch.manual_seed(1)
    n = 40_000
    x = torch.randn(n, 2)
    noise = torch.randn(n, 1)
    if kind == "classes":
        objective = objective_of(nn.BCEWithLogitsLoss(), "logit", ("no", "yes"))
        y = ((x.sum(1, keepdim=True) + noise) > 0).float()
    else:
        objective = objective_of(nn.MSELoss(), "value", None)
        y = x.sum(1, keepdim=True) + noise

    def predict(rows: torch.Tensor) -> torch.Tensor:
        return 2 * rows.sum(1, keepdim=True) if kind == "classes" else 0.8 * rows.sum(1, keepdim=True)

    (score,) = objective.score(predict(x), y, [n], whole := Split(x, y))
    truth = {"loss": float(objective.criterion(predict(x), y)), **score.values()}
    inside = dict.fromkeys(truth, 0)
    parts = [torch.randperm(n)[:200] for _ in range(400)]
    for rows in parts:
        sample = Split(x[rows], y[rows])
        sample.__dict__["variance"] = whole.variance
        for name, (low, high) in intervals(sample, objective, predict).items():
            inside[name] += low <= truth[name] <= high
    assert set(truth) == set(inside)
    for name, count in inside.items():
        assert 0.91 < count / len(parts) < 0.985, (name, count)


def test_the_rows_losses_are_their_own():
    split, net = of_classes(3)
    losses = row_losses(nn.CrossEntropyLoss(), net(split.x).detach(), split.y)
    with torch.no_grad():
        alone = [nn.functional.cross_entropy(net(split.x[[row]]), split.y[[row]]).item() for row in range(len(split))]
    assert np.allclose(losses, alone, atol=1e-6)


def test_a_loss_that_weighs_classes_has_no_interval():
    split, net = of_classes(3)
    weighed = objective_of(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 1.0])), "classes", ("a", "b", "c"))
    with torch.no_grad():
        assert set(intervals(split, weighed, net)) == {"accuracy"}


def test_the_most_wrong_rows_are_those_whose_class_got_least():
    split, net = of_classes(3)
    columns = (Column("age"), Column("height"), Column("weight"))
    plain = Preprocessing(columns, (40.0, 170.0, 70.0), (10.0, 8.0, 12.0), "who", ("a", "b", "c"))
    data = Data(split, split, split, plain, "")
    objective = objective_of(nn.CrossEntropyLoss(), "classes", ("a", "b", "c"))
    with torch.no_grad():
        what, told = most_wrong(split, data, objective, net, count=5)
        of_truth = net(split.x).softmax(1)[torch.arange(60), split.y]
    expected = sorted(range(60), key=lambda row: float(of_truth[row]))[:5]
    assert [one.number for one in told] == [row + 1 for row in expected]
    assert (what, told[0].how) == ("probability of its class", f"{float(of_truth[expected[0]]):.3g}")
    row = split.x[expected[0]]
    z = (row - split.x.mean(0)) / split.x.std(0, correction=0)
    farthest = int(z.abs().argmax())
    value = float(row[farthest]) * plain.scale[farthest] + plain.mean[farthest]
    assert told[0].unusual.startswith(f"{columns[farthest].name}={value:.4g} ({float(z[farthest]):+.1f} sd)")
