"""An error in a model, loss, optimizer, schedule or dataset of the user's own names its file and line."""

from pathlib import Path
from typing import Any

import pytest
from conftest import config_of, one_in

from exp.config import allowlist
from exp.errors import ConfigError, ExpError
from exp.training.build import build
from exp.training.loop import Training
from exp.training.preflight import find_problems

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)
class Wide(Net):
    def forward(self, x):
        return self.layer(self.layer(x))  # torch raises
class Undefined(Net):
    def forward(self, x):
        return self.layer(x) * missing  # undefined
class Late(Net):
    def forward(self, x):
        return self.layer(x) if len(x) != 10 else {}["late"]  # in a step
class Odd(Net):
    def __init__(self, in_features, out_features):
        raise ValueError("odd")  # init
class Fitted(Net):
    def initialize(self, x):
        self.layer(x.T)  # initialize
class Unfitted(Net):
    def initialize(self):
        pass
class Lazy(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.body = nn.Sequential(nn.LazyLinear(8), nn.Linear(8, out_features))
    def forward(self, x):
        return self.body(x)
class Reentrant(Net):
    def forward(self, x):
        h = self.layer(x)
        return torch.utils.checkpoint.checkpoint(torch.tanh, h, use_reentrant=True) if self.training else h
class Loss(nn.Module):
    def forward(self, output, target):
        return output.sum() * missing  # loss
class Optimizer(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum, nesterov, weight_decay, fused):
        super().__init__(params, {"lr": lr})
    def step(self, closure=None):
        self.param_groups[0]["nothing"]  # optimizer
class Schedule(torch.optim.lr_scheduler.LRScheduler):
    def get_lr(self):
        if self.last_epoch > 0:
            1 / 0  # schedule
        return [0.1]
def rows(n):
    return [] + n  # dataset
"""

MODEL = ["model=linear", "~model.bias"]
CASES = [
    (
        ["model._target_={0}.Wide", *MODEL],
        "# torch raises",
        "model: Wide failed on 256 rows of 30 features: Runtime",
    ),
    (
        ["model._target_={0}.Undefined", *MODEL],
        "# undefined",
        "model: Undefined failed on 256 rows of 30 features: Name",
    ),
    (["model._target_={0}.Late", *MODEL], "# in a step", "a training step failed: KeyError: 'late'"),
    (["model._target_={0}.Odd", *MODEL], "# init", "model: {0}.Odd() failed: odd"),
    (["model._target_={0}.Fitted", *MODEL], "# initialize", "model: Fitted.initialize(x) failed: "),
    (
        ["~loss.label_smoothing", "loss._target_={0}.Loss"],
        "# loss",
        "loss: Loss failed: NameError: name 'missing'",
    ),
    (
        ["preflight=off", "~loss.label_smoothing", "loss._target_={0}.Loss"],
        "# loss",
        "loss: Loss failed: NameError: name",
    ),
    (["optimizer._target_={0}.Optimizer"], "# optimizer", "a training step failed: KeyError: 'nothing'"),
    (["engine=eager", "optimizer._target_={0}.Optimizer"], "# optimizer", "a training step failed: KeyError"),
    (["+scheduler._target_={0}.Schedule"], "# schedule", "scheduler: Schedule failed: division by zero"),
    (
        [
            "dataset=moons",
            "dataset._target_={0}.rows",
            "~dataset.noise",
            "~dataset.random_state",
            "~dataset.n_samples",
            "+dataset.n=3",
        ],
        "# dataset",
        "dataset: {0}.rows(n=3) failed: can only concatenate list",
    ),
]


@pytest.mark.parametrize(("words", "mark", "problem"), one_in(2, CASES), ids=[problem for _, _, problem in CASES])
def test_the_line_of_the_users_code_is_named(
    words: list[str], mark: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any
):
    name = f"theirs_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(allowlist, "USER_PACKAGES", (name,))
    with pytest.raises(ExpError) as error:
        train([word.format(name) for word in words])
    number, line = next((n, line) for n, line in enumerate(SOURCE.splitlines(), 1) if mark in line)
    assert error.value.problem.startswith(problem.format(name))
    assert error.value.problem.endswith(f"\n  at: {name}.py:{number}: {line.strip()}")


REFUSED = {
    "Unfitted": (
        r"model: Unfitted\.initialize\(x\) failed: .*takes 1 positional",
        "a method initialize(self, x) that takes the training rows [N, F], or none",
    ),
    "Lazy": (
        r"model: Lazy has a lazy layer: body\.0\.weight has no shape before the first input",
        "a layer with its sizes, such as nn.Linear(in_features, 8): exp passes in_features to the model",
    ),
    "Reentrant": (
        "model: Reentrant failed in a training step: When use_reentrant=True, ",
        "checkpoint(..., use_reentrant=False) in the model",
    ),
}


def test_what_a_model_cannot_have_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "refused.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("refused",))
    for name, (problem, fix) in REFUSED.items():
        with pytest.raises(ConfigError, match=problem) as error:
            train([f"model._target_=refused.{name}", *MODEL])
        assert error.value.fix == fix


def train(words: list[str]) -> None:
    experiment = build(config_of("epochs=2", *words))
    if experiment.config.preflight == "on":
        list(find_problems(experiment.learner, experiment.data, is_scaled=True))
    list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))


def test_an_error_of_exp_has_no_line():
    with pytest.raises(ConfigError) as error:
        build(config_of("loss=bce", "model.output_activation=null"))
    assert "at:" not in error.value.problem
