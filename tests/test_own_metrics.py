"""A user's metric is a function in a file: in runs, workers, resumed runs, evaluate and reports."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pytest
from conftest import config_of
from sklearn.metrics import mean_pinball_loss
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from exp.config import allowlist, signatures
from exp.config.metric_names import is_higher_better
from exp.errors import ConfigError
from exp.results import checkpoints
from exp.results.trained_model import load_trained
from exp.training.build import build
from exp.training.split_metrics import compute_metrics

PAGE = (Path(__file__).parents[1] / "docs/pages/how-to/model.md").read_text()
SOURCE = re.search(r'```python title="my_conf/mymetrics.py"\n(.*?)```', PAGE, re.DOTALL)
assert SOURCE is not None
LINE = "--config-dir my_conf dataset=cancer metric=mymetrics.cost epochs=4 threads=1".split()


@pytest.fixture
def typed(tmp_path: Path) -> list[str]:
    assert SOURCE is not None
    (tmp_path / "my_conf").mkdir()
    (tmp_path / "my_conf/mymetrics.py").write_text(SOURCE[1])
    return LINE


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Write a module that is allowed, and return its name: no two tests have one of the same name."""
    name = f"mine_{abs(hash(request.node.nodeid))}"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(allowlist, "USER_PACKAGES", (name,))

    def write(source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def rows(folder: Path, split: str = "val") -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def test_it_decides_and_is_reported_everywhere(typed: list[str], tmp_path: Path):
    done = forking.run("exp", [*typed, "hydra.run.dir=run"], tmp_path, allow="mymetrics")
    assert done.returncode == 0, done.stderr
    values = [(float(row["mymetrics.cost"]), int(row["step"])) for row in rows(tmp_path / "run")]
    value, step = min(values, key=lambda pair: pair[0])
    assert f"best val mymetrics.cost {value:.4g} at step {step:,}: checkpoints/best.pt" in done.stdout
    assert checkpoints.read(tmp_path / "run/checkpoints/best.pt")["progress"]["step"] == step
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["best"]["val"]["step"] == step
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert [event.value for event in events.Scalars("mymetrics.cost/val")] == [np.float32(value) for value, _ in values]
    assert "EXP_ALLOW=mymetrics python -m exp --config-dir" in (tmp_path / "run/report.html").read_text()
    evaluated = forking.run("exp.evaluate", ["run=run"], tmp_path, allow="mymetrics")
    assert f"mymetrics.cost {summary['final']['test']['mymetrics.cost']!r}" in evaluated.stdout, evaluated.stderr
    refused = forking.run("exp.evaluate", ["run=run"], tmp_path)
    assert "EXP_ALLOW=mymetrics" in refused.stderr


@pytest.mark.slow
def test_a_resumed_run_and_one_with_other_metrics_have_the_same_bits(typed: list[str], tmp_path: Path):
    with (tmp_path / "my_conf/mymetrics.py").open("a") as file:
        file.write("\n\ndef noise(targets, predictions):\n    return np.random.rand()\n")
    typed = [word for word in typed if "epochs" not in word] + ["figures=false", "save_every=1epoch"]
    noise = "metrics=[mymetrics.noise]"
    for words in (["whole", "epochs=4", noise], ["half", "epochs=2", noise], ["plain", "epochs=4"]):
        done = forking.run("exp", [*typed, *words[1:], f"hydra.run.dir={words[0]}"], tmp_path, allow="mymetrics")
        assert done.returncode == 0, done.stderr
    assert forking.run("exp", ["resume=half", "epochs=4"], tmp_path, allow="mymetrics").returncode == 0
    whole, half, plain = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in rows(tmp_path / name)]
        for name in ("whole", "half", "plain")
    )
    assert whole == half
    assert [{k: v for k, v in row.items() if k != "mymetrics.noise"} for row in whole] == plain


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_sweep_is_sorted_in_its_direction(typed: list[str], tmp_path: Path, workers: int):
    line = ["-m", *typed, "optimizer.lr=0.0001,0.1", "figures=false", "hydra.sweep.dir=s", f"sweep.workers={workers}"]
    done = forking.run("exp", line, tmp_path, allow="mymetrics")
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^([01]) +0\.", done.stdout, re.MULTILINE)
    with (tmp_path / "s/sweep.csv").open(newline="") as file:
        found = {row["job"]: float(row["mymetrics.cost/val"]) for row in csv.DictReader(file)}
    assert len(set(found.values())) == 2
    assert shown == sorted(found, key=lambda job: found[job])


def test_a_copied_run_evaluates_in_this_process(typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = forking.run("exp", [*typed, "figures=false", "hydra.run.dir=run"], tmp_path, allow="mymetrics")
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("mymetrics",))
    values = load_trained(tmp_path / "run").evaluate("test").values()
    assert values == json.loads((tmp_path / "run/summary.json").read_text())["final"]["test"]


QUANTILE = """
import numpy as np
def pinball(targets, predictions, weights):
    assert targets.shape == predictions.shape == weights.shape
    gaps = targets - predictions
    return np.average(np.maximum(0.9 * gaps, -0.1 * gaps), weights=weights)
pinball.higher_is_better = False
"""


@pytest.mark.parametrize("is_weighted", [False, True])
def test_numbers_are_in_their_own_unit_with_the_weights_of_the_rows(is_weighted: bool, tmp_path: Path, mine: Any):
    name = mine(QUANTILE)
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=60), 1000 * rng.normal(size=60), rng.uniform(1, 3, 60)
    lines = ["x,y,w", *(f"{a},{b},{c}" for a, b, c in zip(x, y, w, strict=True))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    words = f"dataset=table dataset.path={tmp_path}/rows.csv dataset.target=y metrics=[{name}.pinball]".split()
    experiment = build(config_of(*words, *["dataset.weight=w"] * is_weighted))
    split = experiment.data.test
    output = experiment.learner.predict(split.x)
    got = compute_metrics(experiment.objective, output, split).values()[f"{name}.pinball"]
    of_row = split.weights.numpy() if split.weights is not None else None
    predicted = experiment.objective.prediction(output).numpy()
    assert got == pytest.approx(mean_pinball_loss(split.values.numpy(), predicted, sample_weight=of_row, alpha=0.9))
    assert got > 10


CLASSES = """
def check(targets, predictions):
    assert targets.dtype.kind == "i" and targets.ndim == 1
    assert predictions.shape == (len(targets), predictions.shape[1]) and abs(predictions.sum(1) - 1).max() < 1e-9
    targets[:], predictions[:] = 0, 0  # copies
    return predictions.shape[1]
check.higher_is_better = True
"""


@pytest.mark.parametrize(
    ("words", "classes"),
    [("dataset=iris", 3), ("dataset=cancer loss=bce_with_logits", 2), ("dataset=cancer loss=mse", 2)],
)
def test_classes_are_numbers_and_probabilities(words: str, classes: int, mine: Any):
    name = mine(CLASSES)
    experiment = build(config_of(*words.split(), f"metrics=[accuracy,{name}.check,f1]"))
    plain = build(config_of(*words.split(), "metrics=[f1]"))
    values = experiment.learner.evaluate(experiment.data.test).values()
    assert values.pop(f"{name}.check") == classes
    assert values == plain.learner.evaluate(plain.data.test).values()


FAULTS = """
import numpy
from sklearn.metrics import f1_score
def fails(targets, predictions):
    def inner():
        return targets[10**9]
    return inner()
def gives_text(targets, predictions):
    return "good"
def gives_none(targets, predictions):
    return None
def gives_nan(targets, predictions):
    return numpy.nan
def takes_one(targets):
    return 1.0
def takes_three(targets, predictions, threshold):
    return 1.0
def _private(targets, predictions):
    return 1.0
value = 3
takes_three.higher_is_better = gives_none.higher_is_better = True
"""


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        ("metric={0}.fails", "metric={0}.fails: its source does not state whether a", "fails.higher_is_better = True`"),
        ("metrics=[{0}.takes_one]", "has the parameters targets and predictions", "def takes_one(targets, predictions"),
        ("metric={0}.takes_three", "has the parameters targets and predictions", "def takes_three(targets, pred"),
        ("metrics=[{0}.fail]", "metrics={0}.fail does not exist", "metrics={0}.fails"),
        ("metrics=[{0}.inner.fails]", "no Python file of the module {0}.inner", "{0}/inner.py"),
        ("metrics=[{0}._private]", "is not allowed", ""),
        ("metrics=[{0}.value]", "is not allowed", ""),
        ("metrics=[{0}.f1_score]", "is not allowed", ""),
        ("metrics=[os.getcwd]", "metrics=os.getcwd is not allowed", "a function in a file of your own"),
        ("metrics=[sklearn.metrics.f1_score]", "is not allowed", "a function in a file of your own"),
        ("metrics=[other.gain]", "is not allowed", "EXP_ALLOW={0},other"),
        ("metric=other.gain", "metric=other.gain is not allowed", "EXP_ALLOW={0},other"),
    ],
)
def test_what_is_no_metric_is_refused_before_training(words: str, problem: str, fix: str, mine: Any):
    name = mine(FAULTS)
    with pytest.raises(ConfigError) as error:
        build(config_of(*words.format(name).split()))
    assert problem.format(name) in error.value.problem
    assert fix.format(name) in error.value.fix


def test_its_errors_name_the_function_the_file_and_the_line(mine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    name = mine(FAULTS)
    monkeypatch.chdir(tmp_path)
    experiment = build(config_of(f"metrics=[{name}.fails]"))
    with pytest.raises(ConfigError) as error:
        experiment.learner.evaluate(experiment.data.test)
    assert error.value.problem.startswith(
        f"metrics: {name}.fails failed: IndexError: index 1000000000 is out of bounds"
    )
    assert error.value.problem.endswith(f"\n  at: {name}.py:6: return targets[10**9]")
    experiment = build(config_of(f"metrics=[{name}.gives_text]"))
    with pytest.raises(ConfigError, match="gives_text must return a number or None, got str"):
        experiment.learner.evaluate(experiment.data.test)


_MODEL = ["model=linear", "~model.bias", "+model.targets=1", "+model.predictions=1"]


@pytest.mark.parametrize("key", ["metrics", "model._target_"])
@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import numpy\ndef f(targets, predictions)\n    pass\n", "has a syntax error: expected ':'"),
        ("import numpy\nnumpy.missing\ndef f(targets, predictions):\n    pass\n", "AttributeError: module 'numpy'"),
        ("def f(targets, predictions):\n    pass\nimport torch.missing\n", "No module named 'torch.missing'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_the_line(
    key: str, source: str, problem: str, mine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name = mine(source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        build(config_of(f"{key}={name}.f", *_MODEL * (key != "metrics")))
    assert error.value.problem.startswith(f"{key}={name}.f: ")
    assert problem in error.value.problem
    number = 3 if "torch" in source else 2
    assert error.value.problem.endswith(f"\n  at: {name}.py:{number}: {source.splitlines()[number - 1]}")


def test_none_and_nan_are_left_out(mine: Any):
    name = mine(FAULTS)
    experiment = build(config_of(f"metrics=[{name}.gives_none,{name}.gives_nan]"))
    assert set(experiment.learner.evaluate(experiment.data.test).values()) == {"loss", "accuracy"}
    with pytest.raises(ConfigError, match="it returned NaN or None for 113 validation rows"):
        list_events(f"metric={name}.gives_none")


def list_events(*words: str) -> list[Any]:
    from exp.training.loop import Training

    experiment = build(config_of(*words))
    return list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))


def test_the_direction_is_read_from_the_source_where_the_function_is_defined(
    mine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name = mine("from .inner import gain, cost\nopen('ran', 'w')\n")
    (tmp_path / name).mkdir()
    (tmp_path / f"{name}.py").rename(tmp_path / name / "__init__.py")
    body = "def gain(targets, predictions): ...\ndef cost(targets, predictions): ...\n"
    (tmp_path / name / "inner.py").write_text(
        f"open('ran', 'w')\n{body}gain.higher_is_better = True\ncost.higher_is_better = False\n"
    )
    monkeypatch.chdir(tmp_path)
    assert [is_higher_better(f"{name}.{function}") for function in ("gain", "cost", "inner.gain")] == [
        True,
        False,
        True,
    ]
    assert signatures.read_assigned_attribute(f"{name}.gain", "higher") is None
    assert not (tmp_path / "ran").exists()


def test_a_direction_that_is_added_after_the_refusal_is_seen(mine: Any):
    name = mine("def gain(targets, predictions): ...\n")
    with pytest.raises(ConfigError, match="does not state"):
        config_of(f"metric={name}.gain")
    mine("def gain(targets, predictions): ...\ngain.higher_is_better = True\n")
    assert config_of(f"metric={name}.gain").metric == f"{name}.gain"


def test_a_direction_that_is_edited_holds_for_the_next_run(mine: Any):
    for stated in (True, False):
        name = mine(f"def gain(targets, predictions): ...\ngain.higher_is_better = {stated}\n")
        config_of(f"metric={name}.gain")
        assert is_higher_better(f"{name}.gain") is stated


@pytest.mark.slow
def test_the_metric_of_a_sweep_needs_a_direction(typed: list[str], tmp_path: Path):
    path = tmp_path / "my_conf/mymetrics.py"
    path.write_text(path.read_text().replace("cost.higher_is_better = False", ""))
    words = "--config-dir my_conf metrics=[mymetrics.cost] sweep.metric=mymetrics.cost/test seed=0,1".split()
    done = forking.run("exp", ["-m", *words], tmp_path, allow="mymetrics")
    assert done.returncode == 1
    assert "sweep.metric=mymetrics.cost: its source does not state whether a higher value is better" in done.stderr
    assert not (tmp_path / "outputs").exists()
