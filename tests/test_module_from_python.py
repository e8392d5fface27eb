"""A module that is an object: a copy of it is trained as by a plain loop, and resumed and loaded with one like it."""

import copy
import gc
import html
from pathlib import Path

import forking
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from exp import load, sweep, train
from exp.errors import ExpError
from exp.models.held_module import fingerprint

QUICK = ["dataset=iris", "figures=false", "optimizer.lr=0.1"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


class Net(nn.Module):
    def __init__(self, outputs: int = 3, p: float = 0.2, activation=torch.relu) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(4, 8), nn.Linear(8, outputs)
        self.p, self.activation = p, activation
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x):
        hidden = nn.functional.dropout(self.activation(self.enter(x)), self.p, self.training)
        return self.leave(hidden) * self.scale


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters, self.leave = nn.Conv2d(1, 4, 3), nn.Linear(4 * 6 * 6, 10)

    def forward(self, x):
        assert x.shape[1:] == (1, 8, 8)
        return self.leave(self.filters(x).relu().flatten(1))


class Broken(Net):
    def forward(self, x):  # noqa: ARG002
        raise ValueError("this line is mine")


def plain_loop(net: nn.Module, epochs: int) -> list[float]:
    """The losses of the loop that a person would write for iris, without exp."""
    x, y = (torch.from_numpy(part) for part in load_iris(return_X_y=True))
    torch.manual_seed(0)
    train_rows, *_ = random_split(range(150), [90, 30, 30])
    rows = torch.tensor(list(train_rows))
    scaled = (x - x[rows].mean(0)) / x[rows].std(0, correction=0)
    batches = DataLoader(TensorDataset(scaled[rows].float(), y[rows]), batch_size=10, shuffle=True)
    net = copy.deepcopy(net).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    torch.manual_seed(0)
    losses = []
    for _ in range(epochs):
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test_a_module_trains_as_in_a_plain_loop_and_the_callers_own_stays_as_it_is():
    net = Net().eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    result = train(*QUICK, model=net, epochs=4, log_every="1 steps")
    logged = result.metrics.query("split == 'train'")
    assert logged["loss"].tolist() == plain_loop(net, 4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert type(result.model) is Net
    assert not net.training
    kept = torch.load(result.folder / "checkpoints/last.pt", weights_only=False)["model"]
    net.load_state_dict(kept)  # the names are those of the caller's module


def test_a_module_gets_images_in_their_shape():
    digits = load_digits()
    x = digits.images[:, None].astype(np.float32)
    result = train((x, digits.target), "figures=false", model=Convolution(), epochs=4)
    assert result.final["test"]["accuracy"] > 0.8
    assert len(result.predict(x[:5])["prediction"]) == 5
    assert result.model(torch.from_numpy(x[:5])).shape == (5, 10)


def test_it_is_resumed_and_loaded_with_a_module_like_it(exp):
    net = Net()
    whole = train(*QUICK, model=net, epochs=4).final
    result = train(*QUICK, "hydra.run.dir=run", model=net, epochs=2)
    with pytest.raises(
        ExpError, match=r"settings or shapes differ, their fingerprint was (\w{16}), is now (?!\1)\w{16}"
    ):
        train(model=Net(p=0.3), resume="run", epochs=4)
    asked = exp("resume=run", "epochs=4")
    assert asked.returncode == 1
    assert "this module came from Python, as an object, and is in no file" in asked.stderr
    assert "train(model=Net(...), resume='run') in Python" in asked.stderr
    asked = forking.run("exp.evaluate", ["run=run"], Path.cwd())
    assert "load('run', model=Net(...)) in Python" in asked.stderr
    x, expected = load_iris().data, result.predict(load_iris().data)
    del result
    gc.collect()
    with pytest.raises(ExpError, match=r"load\('run', model=Net\(\.\.\.\)\)"):
        load("run").predict(x)
    other = Net()  # of other parameters: those of the run are in its checkpoint
    assert load("run", model=other).predict(x)["probability setosa"].tolist() == expected["probability setosa"].tolist()
    assert train(model=other, resume="run", epochs=4).final == whole
    with pytest.raises(ExpError, match="Net is not the module"):
        load("run", model=Net(activation=torch.tanh)).predict(x)


@pytest.mark.slow
def test_a_sweep_starts_each_run_with_the_parameters_of_the_module():
    net = Net()
    found = sweep(*QUICK[:2], "optimizer.lr=0.01,0.1", model=net, epochs=2)
    assert found.runs["1"].final == train(*QUICK, model=net, epochs=2).final


def test_a_sweep_of_the_module_begins_no_job_elsewhere(exp, tmp_path: Path):
    sweep(*QUICK, "hydra.sweep.dir=sweep", "sweep.workers=0", model=Net(), epochs=1, seed=[0, 1])
    asked = exp("-m", "sweep.resume=sweep", "seed=0,1,2")
    assert asked.returncode == 1
    assert "this module came from Python, as an object, and is in no file" in asked.stderr
    assert not (tmp_path / "sweep/2").exists()


def test_the_fingerprint_changes_with_what_the_module_computes():
    torch.manual_seed(0)
    net = Net()
    structure, state = fingerprint(net)
    assert fingerprint(copy.deepcopy(net).eval()) == (structure, state)
    assert fingerprint(Net())[0] == structure
    assert fingerprint(Net())[1] != state
    others = [Net(p=0.3), Net(outputs=2), Net(activation=torch.tanh), Broken(), net.double(), nn.Sequential(Net())]
    frozen = Net()
    frozen.enter.weight.requires_grad_(False)
    found = [fingerprint(other)[0] for other in (*others, frozen)]
    assert len({structure, *found}) == len(found) + 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train(*QUICK, model=Net), r"model=Net is a class\n  try: model=Net\(\.\.\.\), an object of it"),
        (lambda: train(*QUICK, model=nn.LazyLinear(3)), "LazyLinear: it has lazy layers"),
        (
            lambda: train(*QUICK, model=nn.Linear(8, 3)),
            r"Linear takes 8 values, the rows have 4: sepal length \(cm\), ",
        ),
        (lambda: train(*QUICK, model=Net(outputs=2)), r"outputs for 90 rows have shape \[90, 2\]"),
        (
            lambda: train(*QUICK, model=Broken()),
            r"ValueError: this line is mine\n  at: .*_from_python.py:\d+",
        ),
    ],
)
def test_a_module_that_cannot_be_trained_is_explained(call, message: str):
    with pytest.raises(ExpError, match=message):
        call()


def test_a_script_cannot_make_the_module(tmp_path: Path):
    from exp.export import export

    result = train(*QUICK, model=Net(), epochs=1)
    call = 'train("dataset=iris", "figures=false", "optimizer.lr=0.1", "epochs=1", model=Net(...))'
    assert call in html.unescape(result.report().read_text())
    with pytest.raises(ExpError, match="a script cannot make it"):
        export(run=str(result.folder), format="script", out="train.py")


def test_a_module_with_a_part_in_evaluation_mode_is_trained_as_a_whole():
    """Without an evaluation before the first step, nothing else sets the mode of its parts."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    net[1].eval()
    result = train(*QUICK, "epochs=1", "dataset.split=[.8,0,.2]", "preflight=off", model=net)
    assert result.model[1].num_batches_tracked == 12
