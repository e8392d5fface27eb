"""Preflight warns about each planted bug before the first step, and about nothing in exp's presets and datasets."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import config_of
from torch import Tensor, nn

from exp.config.schema import CONF
from exp.errors import ExpError
from exp.training.build import Experiment, build
from exp.training.preflight import find_problems


def problems(experiment: Experiment, is_scaled: bool = False) -> list[str]:
    """Return all warnings, or the error."""
    try:
        return list(find_problems(experiment.learner, experiment.data, is_scaled))
    except ExpError as error:
        return [str(error)]


def with_model(experiment: Experiment, model: nn.Module) -> Experiment:
    return replace(experiment, learner=replace(experiment.learner, model=model), model=model)


def with_rows(experiment: Experiment, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Experiment:
    x, y = change(experiment.data.train.x.clone(), experiment.data.train.y.clone())
    return replace(experiment, data=replace(experiment.data, train=replace(experiment.data.train, x=x, y=y)))


def column(value: float) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    def change(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x[:, 1] = x[:, 1] * value if abs(value) > 1e3 else value
        return x, y

    return change


def dead(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        next(p for name, p in net.named_parameters() if name.endswith("bias")).fill_(-1e3)
    return net


class WithSpare(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 3)
        self.spare = nn.Parameter(torch.ones(2))


class Wide(nn.Linear):
    """Its outputs are far too large at the start."""

    def forward(self, x: Tensor) -> Tensor:
        return 100 * super().forward(x)


PLANTED: dict[str, tuple[str, Callable[[Experiment], Experiment], str]] = {
    "nothing standardised": (
        "dataset=cancer dataset.scaler=none",
        lambda e: e,
        "have different scales: worst area",
    ),
    "nothing standardised, seen in the loss": (
        "dataset=cancer dataset.scaler=none",
        lambda e: e,
        r"the initial loss is 3\d.\d+, but guessing gives ln 2 = 0.693; try: dataset.scaler=standard",
    ),
    "a NaN": ("dataset=iris", lambda e: with_rows(e, column(float("nan"))), r"width \(cm\) is nan in row "),
    "an infinity": ("dataset=iris", lambda e: with_rows(e, column(float("inf"))), "NaN or infinite values"),
    "a column that never varies": ("dataset=iris", lambda e: with_rows(e, column(3.0)), "sepal width .* is constant"),
    "a huge column": ("dataset=moons", lambda e: with_rows(e, column(1e5)), "x2 is about .* dataset.scaler=standard"),
    "probabilities for a loss of logits": (
        "dataset=moons loss=bce_with_logits",
        lambda e: with_model(e, nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())),
        "ends with a sigmoid, but BCEWithLogitsLoss needs logits; try: loss=bce",
    ),
    "softmax before cross-entropy": (
        "dataset=iris",
        lambda e: with_model(e, nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))),
        "ends with a softmax, but CrossEntropyLoss needs logits",
    ),
    "logits for a loss of probabilities": (
        "dataset=moons loss=bce_with_logits",
        lambda e: replace(e, learner=replace(e.learner, objective=replace(e.objective, criterion=nn.BCELoss()))),
        "BCELoss needs probabilities, but the outputs range from",
    ),
    "outputs that broadcast": (
        "dataset=diabetes",
        lambda e: with_model(e, nn.Sequential(nn.Linear(10, 1), nn.Flatten(0))),
        r"have shape \[256\], but the loss needs \[256, 1\]",
    ),
    "targets that broadcast": (
        "dataset=diabetes",
        lambda e: with_rows(e, lambda x, y: (x, y.flatten())),
        "which torch would broadcast",
    ),
    "a class without an output": (
        "dataset=iris",
        lambda e: with_rows(e, lambda x, y: (x, y + 1)),
        "class 3 has no output: the model has 3 outputs, for classes 0 to 2",
    ),
    "too few outputs": (
        "dataset=iris",
        lambda e: with_model(e, nn.Linear(4, 2)),
        r"have shape \[90, 2\], but the loss needs \[90, 3\]",
    ),
    "double precision": (
        "dataset=diabetes",
        lambda e: with_model(e, nn.Sequential(nn.Linear(10, 1), nn.Identity().double(), Double())),
        "its outputs are torch.float64, but the targets are torch.float32",
    ),
    "dead ReLUs": (
        "dataset=iris 'model.hidden=[20,20]'",
        lambda e: with_model(e, dead(e.model)),
        r"no gradient reaches .*weight \(20 of 20 units\)",
    ),
    "a parameter that nothing uses": ("dataset=iris", lambda e: with_model(e, WithSpare()), "does not depend on spare"),
    "a start far too large": (
        "dataset=iris",
        lambda e: with_model(e, Wide(4, 3)),
        "the initial loss is .* but guessing gives ln 3 = 1.1",
    ),
    "logits for a loss of log-probabilities": (
        "dataset=iris loss._target_=torch.nn.NLLLoss ~loss.label_smoothing",
        lambda e: e,
        "NLLLoss needs log-probabilities, but the probabilities of a row add up to",
    ),
    "outputs that are no numbers": (
        "dataset=iris",
        lambda e: with_model(e, nn.Sequential(nn.Linear(4, 3), Log())),
        "model: Sequential returns NaN or infinite values for 90 of 90 rows before the first step",
    ),
}


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.double()


class Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - 100).log()


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_gives_a_warning(bug: str):
    import shlex

    line, plant, pattern = PLANTED[bug]
    warnings = problems(plant(build(config_of(*shlex.split(line)))))
    assert any(re.search(pattern, warning, re.DOTALL) for warning in warnings), warnings
    assert all("try: " in warning or "constant in the" in warning for warning in warnings)


SHIPPED = [
    *(f"experiment={path.stem}" for path in sorted((CONF / "experiment").glob("*.yaml"))),
    *(f"dataset={path.stem}" for path in sorted((CONF / "dataset").glob("*.yaml")) if "???" not in path.read_text()),
]


@pytest.mark.parametrize("line", SHIPPED)
def test_shipped_options_give_no_false_warning(line: str):
    config = config_of(line)
    experiment = build(config)
    state = torch.get_rng_state(), [p.clone() for p in experiment.model.parameters()]
    began = time.perf_counter()
    warnings = problems(experiment, config.dataset.get("scaler", "none") != "none")
    assert time.perf_counter() - began < 1  # it takes a few milliseconds
    if line == "experiment=cancer_raw":
        assert any("dataset.scaler=standard" in warning for warning in warnings)
    elif line == "dataset=digits":  # the corner pixels are always white
        assert [warning for warning in warnings if "constant in the" not in warning] == []
    else:
        assert warnings == []
    assert torch.equal(torch.get_rng_state(), state[0])
    assert all(torch.equal(a, b) for a, b in zip(experiment.model.parameters(), state[1], strict=True))


def test_warnings_are_printed_and_stored_and_can_be_turned_off(exp, tmp_path):
    import json

    raw = ("dataset=cancer", "dataset.scaler=none", "epochs=1", "figures=false")
    done = exp(*raw, "hydra.run.dir=a")
    assert "dataset.scaler=standard" in done.stdout
    assert "dataset.scaler=standard" in json.loads((tmp_path / "a/summary.json").read_text())["notes"][0]
    assert "dataset.scaler=standard" in (tmp_path / "a/exp.log").read_text()
    assert "dataset.scaler=standard" not in exp(*raw, "preflight=off", "hydra.run.dir=b").stdout


class Noisy(nn.Linear):
    """Counts its calls, and draws random numbers in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) + 0.01 * torch.rand(len(x), 2)


def test_a_check_changes_neither_buffers_nor_random_state():
    experiment = build(config_of("dataset=moons"))
    model, before = Noisy(), torch.get_rng_state()
    assert problems(with_model(experiment, model), is_scaled=True) == []
    assert float(model.calls) == 0
    assert torch.equal(torch.get_rng_state(), before)


class WithoutGradients(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training else super().forward(x).detach()


def test_a_model_without_gradients_in_evaluation_mode_is_a_warning():
    experiment = build(config_of("dataset=moons"))
    (warning,) = problems(with_model(experiment, WithoutGradients(2, 2)), is_scaled=True)
    assert warning.startswith("the gradients were not checked: model: WithoutGradients failed to compute its gradients")


def test_constant_features_are_not_dead_units():
    experiment = with_rows(build(config_of("dataset=iris")), lambda x, y: (torch.zeros_like(x), y))
    (warning,) = problems(experiment, is_scaled=True)
    assert warning.endswith("are constant in the 90 training rows")


def test_what_is_standardised_is_not_advised_to_be():
    experiment = build(config_of("dataset=iris", "model.hidden=[20,20]", "model.activation=relu"))
    of_each = [
        problems(with_model(experiment, dead(experiment.model)), is_scaled=is_scaled) for is_scaled in (True, False)
    ]
    ends = [[note.partition("(dead ReLUs); try: ")[2] for note in notes] for notes in of_each]
    advice = "another activation, such as model.activation=tanh"
    assert ends == [[advice], [f"dataset.scaler=standard, or {advice}"]]


@pytest.mark.parametrize("model", ["mlp", "realmlp", "tabm"])
def test_categories_that_no_checked_row_has_are_not_dead(model: str, tmp_path: Path):
    """The first 256 rows have few of 1,000 categories; the layers above them are still checked."""
    lines = [f"c{number % 1000},{number % 7},{number % 5}.5" for number in range(3000)]
    (tmp_path / "rows.csv").write_text("\n".join(["word,number,y", *lines]) + "\n")
    table = ("dataset=table", f"dataset.path={tmp_path}/rows.csv", "dataset.target=y", "dataset.max_categories=null")
    experiment = build(config_of(*table, "dataset.encode=embedding", f"model={model}"))
    assert any(isinstance(module, nn.Embedding) and len(module.weight) > 900 for module in experiment.model.modules())
    assert problems(experiment, is_scaled=True) == []
    if model == "mlp":
        (warning,) = problems(with_model(experiment, dead(experiment.model)), is_scaled=True)
        assert re.match(r"no gradient reaches 1.*weight \(", warning), warning
