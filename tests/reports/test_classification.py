"""The statistics of the report, compared with scipy and scikit-learn."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from torch import nn

from exp.config.target_kind import TargetKind
from exp.data.columns.number import NumberColumn
from exp.data.preprocessing import Preprocessing
from exp.data.scalers.standard import StandardScaler
from exp.data.splits import Split, Splits
from exp.data.target_scale import TargetScale
from exp.reports.classification import Ranking, Reliability, confusion_counts, scores_by_class
from exp.reports.figures import confusion_matrix, scores
from exp.reports.hardest_rows import hardest_rows, unusual_features
from exp.reports.intervals import confidence_intervals, row_losses, wilson_interval
from exp.training.make_objective import make_objective
from exp.training.split_metrics import score_split
from exp.training.weights import weigh

scores_of_rows = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(is_it for is_it, _ in rows) < len(rows)
)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_an_accuracy_is_wilsons(seen):
    right, count = seen
    other = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, count) == pytest.approx((other.low, other.high), abs=1e-12)


@settings(max_examples=50)
@given(scores_of_rows)
def test_a_ranking_equals_that_of_scikit_learn(rows):
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


@settings(max_examples=50)
@given(scores_of_rows)
def test_a_ranking_of_weighted_rows_equals_that_of_scikit_learn(rows):
    positive, score = np.array([p for p, _ in rows]), np.array([s / 8 for _, s in rows])
    weight = np.arange(1, len(rows) + 1) % 5 + 0.5
    ours = Ranking.of(positive, score, weight)
    false, true, _ = metrics.roc_curve(positive, score, sample_weight=weight, drop_intermediate=False)
    assert np.allclose(ours.false, false)
    assert np.allclose(ours.true, true)
    assert ours.area == pytest.approx(metrics.roc_auc_score(positive, score, sample_weight=weight))
    assert ours.average == pytest.approx(metrics.average_precision_score(positive, score, sample_weight=weight))


def test_the_curves_of_weighted_rows_have_the_areas_of_the_metrics():
    split, net = of_classes(2)
    weights = torch.arange(60).float() % 4 + 0.25
    objective = make_objective(
        weigh(nn.CrossEntropyLoss(), "classes", classes("a", "b"), None, True), "classes", classes("a", "b")
    )
    weighted = replace(split, weights=weights)
    with torch.no_grad():
        figure = scores(weighted, ("a", "b"), objective, output := net(split.x))
    probability = output.softmax(1)[:, 1].numpy()
    area = metrics.roc_auc_score(split.y.numpy(), probability, sample_weight=weights.numpy())
    labels = [str(text.get_text()) for axis in figure.axes[:2] for text in axis.get_legend().get_texts()]
    assert labels[0] == f"b: area {area:.4g}"
    precision = metrics.average_precision_score(split.y.numpy(), probability, sample_weight=weights.numpy())
    assert labels[1] == f"b: average {precision:.4g}"


def test_a_weighted_calibration_is_that_of_repeated_rows():
    draw = np.random.default_rng(4)
    sure, times = draw.uniform(0.5, 1, 90), draw.integers(1, 4, 90)
    right = draw.uniform(size=90) < sure
    ours, theirs = (
        Reliability.of(sure, right, times.astype(float)),
        Reliability.of(sure.repeat(times), right.repeat(times)),
    )
    assert np.allclose(ours.right, theirs.right)
    assert np.allclose(ours.sure, theirs.sure)
    assert ours.error == pytest.approx(theirs.error)


def test_a_calibration_equals_that_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    draw = np.random.default_rng(3)
    sure = draw.uniform(0.5, 1, 400)
    right = draw.uniform(size=400) < sure**2
    ours = Reliability.of(sure, right)
    shares, means = calibration_curve(right, sure, n_bins=10)
    assert np.allclose(ours.sure, means)
    assert np.allclose(ours.right, shares)
    counts = np.histogram(sure, np.linspace(0, 1, 11))[0]
    assert ours.error == pytest.approx((counts[counts > 0] * abs(shares - means)).sum() / 400)


NUMBERS = TargetKind("numbers", ("y",))


def classes(*names: str) -> TargetKind:
    return TargetKind("classes", names)


def of_classes(classes: int, n: int = 60) -> tuple[Split, nn.Linear]:
    torch.manual_seed(1)
    net = nn.Linear(3, classes)
    return Split(torch.randn(n, 3), torch.randint(classes, (n,)), np.arange(n) + 1), net


def test_scores_by_class_equal_those_of_scikit_learn():
    split, net = of_classes(4)
    objective = make_objective(nn.CrossEntropyLoss(), "classes", classes("a", "b", "c", "d"))
    output = net(split.x).detach()
    predicted = output.argmax(1)
    counts = confusion_counts(split, 4, objective, output)
    assert (counts == metrics.confusion_matrix(split.y, predicted)).all()
    theirs = metrics.precision_recall_fscore_support(split.y, predicted, zero_division=np.nan)
    ours = scores_by_class(("a", "b", "c", "d"), counts)
    for name, of_all in zip(("precision", "recall", "f1", "rows"), theirs, strict=True):
        assert np.allclose([getattr(one, name) for one in ours], of_all, equal_nan=True), name


def test_a_class_without_rows_has_no_recall():
    empty = scores_by_class(("a", "b"), np.array([[3, 0], [0, 0]]))[1]
    assert [empty.rows, str(empty.precision), str(empty.recall)] == [0, "nan", "nan"]


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_an_interval_contains_the_true_value_in_95_of_100_samples(kind: str):
    """For many samples of the rows, about 95 % of the intervals contain the metric of all rows."""
    torch.manual_seed(1)
    n = 40_000
    x = torch.randn(n, 2)
    noise = torch.randn(n, 1)
    if kind == "classes":
        objective = make_objective(nn.BCEWithLogitsLoss(), "logit", classes("no", "yes"))
        y = ((x.sum(1, keepdim=True) + noise) > 0).float()
    else:
        objective = make_objective(nn.MSELoss(), "value", NUMBERS)
        y = x.sum(1, keepdim=True) + noise

    def predict(rows: torch.Tensor) -> torch.Tensor:
        return 2 * rows.sum(1, keepdim=True) if kind == "classes" else 0.8 * rows.sum(1, keepdim=True)

    score = score_split(objective, predict(x), Split(x, y))
    truth = {"loss": float(objective.criterion(predict(x), y)), **score.values()}
    inside = dict.fromkeys(truth, 0)
    parts = [torch.randperm(n)[:200] for _ in range(400)]
    for rows in parts:
        for name, (low, high) in confidence_intervals(Split(x[rows], y[rows]), objective, predict(x[rows])).items():
            inside[name] += low <= truth[name] <= high
    assert set(truth) == set(inside)
    for name, count in inside.items():
        assert 0.91 < count / len(parts) < 0.985, (name, count)


def test_a_metric_that_is_infinite_has_no_interval():
    objective = make_objective(nn.MSELoss(), "value", NUMBERS, TargetScale((0.0,), (1.0,), log=True))
    y = torch.tensor([[0.0], [1.0], [2.0]])
    output = torch.tensor([[0.5], [1.5], [1e5]])
    score = score_split(objective, output, split := Split(y, y, target_scale=objective.scale))
    assert score.values() == {"rmse": np.inf, "r2": -np.inf}
    assert list(confidence_intervals(split, objective, output)) == ["loss"]


def test_row_losses_equal_the_loss_of_each_row_alone():
    split, net = of_classes(3)
    losses = row_losses(nn.CrossEntropyLoss(), net(split.x).detach(), split.y)
    with torch.no_grad():
        alone = [nn.functional.cross_entropy(net(split.x[[row]]), split.y[[row]]).item() for row in range(len(split))]
    assert np.allclose(losses, alone, atol=1e-6)


def test_a_loss_with_class_weights_has_the_interval_of_a_weighted_mean():
    """Its variance is the one of survey statistics: the sum of squared w (l - mean)."""
    split, net = of_classes(3)
    criterion, output = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 1.0])), net(split.x).detach()
    low, high = confidence_intervals(split, make_objective(criterion, "classes", classes("a", "b", "c")), output)[
        "loss"
    ]
    losses, w = nn.CrossEntropyLoss(reduction="none")(output, split.y), torch.where(split.y == 1, 5.0, 1.0)
    mean, n = float(criterion(output, split.y)), len(split)
    variance = float((w * (losses - mean)).square().sum() / w.sum() ** 2) * n / (n - 1)
    assert (low, high) == pytest.approx((mean - 1.96 * variance**0.5, mean + 1.96 * variance**0.5), rel=1e-4)


def test_a_criterion_that_ignores_reduction_has_no_interval():
    class Own(nn.Module):
        reduction = "mean"

        def forward(self, output, target):
            return nn.functional.cross_entropy(output, target)

    split, net = of_classes(3)
    assert row_losses(Own(), net(split.x).detach(), split.y) is None


def test_a_negative_loss_has_an_interval():
    split = Split(torch.zeros(50, 1), torch.full((50, 1), 20.0) + torch.arange(50.0)[:, None], np.arange(50))
    output = torch.full((50, 1), 3.0)
    losses = nn.PoissonNLLLoss(reduction="none")(output, split.y).squeeze(1)
    low, high = confidence_intervals(split, make_objective(nn.PoissonNLLLoss(), "value", NUMBERS), output)["loss"]
    assert low < float(losses.mean()) < high < 0
    assert high - low == pytest.approx(2 * stats.norm.ppf(0.975) * float(stats.sem(losses)), rel=1e-6)


def test_each_target_is_compared_in_its_own_unit():
    """The second target has a larger unit and must not hide the first. The rmse is computed from the mean over both."""
    torch.manual_seed(0)
    y = torch.randn(80, 2) * torch.tensor([1.0, 1000.0])
    output = y.clone()
    output[3, 0] += 5  # five deviations
    output[4, 1] += 1000  # one
    split = Split(torch.zeros(80, 1), y, np.arange(80) + 1)
    plain = Preprocessing((NumberColumn("a"),), None, "two", None, 2)
    objective = make_objective(nn.MSELoss(), "value", TargetKind("numbers", ("1", "2")))
    what, hardest = hardest_rows(split, Splits(split, split, split, plain, ""), objective, output, count=2)
    assert (what, [one.number for one in hardest]) == ("error", [4, 5])
    assert [float(one.how) for one in hardest] == pytest.approx([5, 1], rel=0.15)
    squares = ((output - y) ** 2).mean(1).double().numpy()
    reach = stats.norm.ppf(0.975) * stats.sem(squares)
    low, high = confidence_intervals(split, objective, output)["rmse"]
    assert (low**2, high**2) == pytest.approx((max(0, squares.mean() - reach), squares.mean() + reach), rel=1e-6)


def test_a_hard_row_has_the_values_that_training_never_had():
    x = torch.tensor([[7.0, 0.0], [7.0, 1.0], [7.0, 2.0], [7.0, 1.0]])
    one = Split(x, torch.zeros(4, 1), np.arange(4) + 1)
    plain = Preprocessing((NumberColumn("a"), NumberColumn("b")), None, "y", None)
    new = torch.tensor([[1e27, 1.0], [7.0, 9.0], [7.0, 1.0]])
    remarks = unusual_features(Splits(one, one, one, plain, ""), new)
    assert remarks == ["a=1e+27 (constant in the training rows)", f"b=9 (+{8 / math.sqrt(0.5):.1f} sd)", ""]


def test_log_odds_distinguish_rows_that_probabilities_cannot():
    logits = torch.tensor([[0.0, 200.0, 3.0], [0.0, 100.0, 3.0], [1.0, 2.0, 3.0]])
    odds = make_objective(nn.CrossEntropyLoss(), "classes", classes("a", "b", "c")).log_odds(logits)
    assert odds[0, 1] > odds[1, 1] > 90
    assert odds[0, 0] < odds[1, 0] < -90
    p = logits[2].double().softmax(0)
    assert torch.allclose(odds[2], torch.log(p / (1 - p)))
    binary = make_objective(nn.BCEWithLogitsLoss(), "logit", classes("no", "yes"))
    assert binary.log_odds(torch.tensor([[300.0]])).tolist() == [[-300.0, 300.0]]
    assert make_objective(nn.MSELoss(), "value", classes("no", "yes")).log_odds(torch.tensor([[0.3]])) is None


def test_the_hardest_rows_have_the_lowest_probability_of_their_class():
    split, net = of_classes(3)
    columns = (NumberColumn("age"), NumberColumn("height"), NumberColumn("weight"))
    mean, scale = (40.0, 170.0, 70.0), (10.0, 8.0, 12.0)
    plain = Preprocessing(columns, StandardScaler(mean, scale), "who", ("a", "b", "c"))
    data = Splits(split, split, split, plain, "")
    objective = make_objective(nn.CrossEntropyLoss(), "classes", classes("a", "b", "c"))
    with torch.no_grad():
        what, hardest = hardest_rows(split, data, objective, net(split.x), count=5)
        of_truth = net(split.x).softmax(1)[torch.arange(60), split.y]
    expected = sorted(range(60), key=lambda row: float(of_truth[row]))[:5]
    assert [one.number for one in hardest] == [row + 1 for row in expected]
    assert (what, hardest[0].how) == ("probability of the true class", f"{float(of_truth[expected[0]]):.3g}")
    z = (split.x - split.x.mean(0)) / split.x.std(0, correction=0)
    for row, one in zip(expected, hardest, strict=True):
        farthest = int(z[row].abs().argmax())
        value = float(split.x[row, farthest]) * scale[farthest] + mean[farthest]
        about = f"{columns[farthest].name}={value:.4g} ({float(z[row, farthest]):+.1f} sd)"
        assert one.unusual.startswith(about) if abs(z[row, farthest]) >= 2 else one.unusual == ""
    assert any(one.unusual for one in hardest)


def test_the_figure_of_scores_shows_the_second_of_two_classes():
    """The points of the ROC and precision-recall lines are those of scikit-learn."""
    split, net = of_classes(2)
    output = net(split.x).detach()
    objective = make_objective(nn.CrossEntropyLoss(), "classes", classes("no", "$x_{$"))
    figure = scores(split, ("no", "$x_{$"), objective, output)
    figure.draw_without_rendering()
    roc, precision, _ = figure.axes
    margin = (output[:, 1] - output[:, 0]).double().numpy()
    false, true, _ = metrics.roc_curve(split.y, margin, drop_intermediate=False)
    assert np.allclose(roc.lines[0].get_xdata(), false)
    assert np.allclose(roc.lines[0].get_ydata(), true)
    assert roc.lines[0].get_label() == rf"\$x_{{\$: area {metrics.roc_auc_score(split.y, margin):.4g}"
    precisions, recall, _ = metrics.precision_recall_curve(split.y, margin)
    assert np.allclose(precision.lines[0].get_xdata(), recall[::-1])
    assert np.allclose(precision.lines[0].get_ydata(), precisions[::-1])


def test_a_confusion_matrix_of_200_classes_is_small_and_without_numbers():
    split, net = of_classes(200, n=2000)
    objective = make_objective(nn.CrossEntropyLoss(), "classes", classes(*(f"class {n}" for n in range(200))))
    figure = confusion_matrix(split, tuple(map(str, range(200))), objective, net(split.x).detach(), "test")
    assert max(figure.get_size_inches()) <= 14
    assert not figure.axes[0].texts
