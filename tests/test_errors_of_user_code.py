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
class Pair(Net):
    def forward(self, x): return self.layer(x), x
class Nan(Net):
    def forward(self, x): return self.layer(x).log() * float("nan")
class Detached(Net):
    def forward(self, x): return self.layer(x).detach()
class Loud(Net):
    def forward(self, x): return self.layer(x).sigmoid() * (3 if self.training else 1)
class Vector(nn.Module):
    def forward(self, output, target): return (output - output.mean()).abs().sum(1)
class Nothing(nn.Module):
    def forward(self, output, target): print(end="")
class Number(nn.Module):
    def forward(self, output, target): return 1.5
class Cut(nn.Module):
    def forward(self, output, target): return output.sum().detach()
class Undetermined(nn.Module):
    def forward(self, output, target): return (output - output).sum() / 0
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
    (["model._target_={0}.Odd", *MODEL], "# init", "model: {0}.Odd() failed: ValueError: odd"),
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
    (
        ["+scheduler._target_={0}.Schedule"],
        "# schedule",
        "scheduler: Schedule failed: ZeroDivisionError: division by zero",
    ),
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
        "dataset: {0}.rows(n=3) failed: TypeError: can only concatenate list",
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


RETURNED = {
    "dataset=moons loss=bce model=linear ~model.bias model._target_=returned.Loud": "loss: BCELoss needs "
    "probabilities, but outputs of Loud in a training step are not between 0 and 1\n",
    "model=linear ~model.bias model._target_=returned.Pair": "model: Pair returns a tuple, and a tensor [rows, out_",
    "model=linear ~model.bias model._target_=returned.Nan": "model: Nan returns NaN or infinite values for 256 of 256 ",
    "model=linear ~model.bias model._target_=returned.Detached": "the loss does not depend on the parameters: Detached "
    "or CrossEntropyLoss returns what is detached from them",
    "loss._target_=returned.Vector": "loss: Vector returns a tensor of shape [256], and a tensor of one element that ",
    "loss._target_=returned.Nothing": "loss: Nothing returns None, and a tensor of one element that depends on the ",
    "loss._target_=returned.Number": "loss: Number returns a float, and a tensor of one element that depends on the ",
    "loss._target_=returned.Cut": "loss: Cut returns a tensor that does not depend on the outputs, and a tensor of ",
    "loss._target_=returned.Undetermined": "loss: Undetermined is nan before the first step, of finite outputs",
    "preflight=off loss._target_=returned.Vector": "loss: Vector returns a tensor of shape [113], and a tensor of ",
    "preflight=off loss._target_=returned.Cut": "the loss does not depend on the parameters: MLP or Cut returns what ",
    "precision=bf16 model=linear ~model.bias model._target_=returned.Pair": "model: Pair returns a tuple, and a ",
}


def test_what_a_model_or_loss_must_not_return_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "returned.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("returned",))
    for words, problem in RETURNED.items():
        loss = ["~loss.label_smoothing"] if "loss._" in words else []
        with pytest.raises(ConfigError) as error:
            train([*loss, *words.split()])
        assert error.value.problem.startswith(problem), error.value.problem
        kind = words.partition("returned.")[2]
        number = SOURCE.splitlines().index(
            next(line for line in SOURCE.splitlines() if line.startswith(f"class {kind}"))
        )
        assert f"returned.py:{number + 2}: def forward" in error.value.problem


def train(words: list[str]) -> None:
    experiment = build(config_of("epochs=2", *words))
    if experiment.config.preflight == "on":
        list(find_problems(experiment.learner, experiment.data, is_scaled=True))
    list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))


def test_an_error_of_exp_has_no_line():
    with pytest.raises(ConfigError) as error:
        build(config_of("loss=bce", "model.output_activation=null"))
    assert "at:" not in error.value.problem
