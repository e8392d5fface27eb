"""The five notebooks: their printed figures, and the losses of the plain scripts in plain.py.

Floating-point bits depend on the machine: another CPU may round the last bit of a product differently, and many steps
amplify the difference. So the plain script runs in the same test as the preset, and the two are compared bit for bit. A
figure from a notebook is compared to the precision that the notebook printed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from conftest import config_of, list_evaluations, logged_steps
from golden import plain
from golden.plain import XOR
from torch import Tensor

from exp.config.schema import CONF
from exp.training.build import Experiment, build
from exp.training.events import Evaluated, Event, Trained
from exp.training.loop import Training
from exp.training.metrics import AccuracySum, MetricSums


@dataclass(frozen=True)
class Finished:
    experiment: Experiment
    events: list[Event]

    @property
    def batches(self) -> list[MetricSums]:
        return [step.metrics for step in logged_steps(self.events)]

    @property
    def losses(self) -> list[float]:
        return [metrics.loss for metrics in self.batches]

    def final(self, split: str) -> dict[str, float]:
        return [e.metrics.values() for e in list_evaluations(self.events) if e.split == split][-1]

    def val_loss_at(self, step: int) -> float:
        found = (e for e in list_evaluations(self.events) if e.split == "val" and e.at.step == step)
        return next(found).metrics.loss

    def predict(self, x: Tensor) -> Tensor:
        return self.experiment.learner.predict(x)


@cache
def preset(*overrides: str) -> Finished:
    experiment = build(config_of(*overrides, "log_every=1", "threads=1"))
    events = list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
    return Finished(experiment, [event for event in events if isinstance(event, Trained | Evaluated)])


GOLDEN = {
    "xor_softmax": ["experiment=xor_softmax"],
    "cancer_raw": ["experiment=cancer_raw"],
    "noisy_xor": ["experiment=noisy_xor"],
    "xor_mse": ["experiment=xor_mse"],
    "distance": ["experiment=distance"],
    "signal_background_full": ["experiment=signal_background", "batching=full"],
    "signal_background_minibatch": ["experiment=signal_background", "batching=minibatch"],
    "signal_background_online": ["experiment=signal_background", "batching=online"],
}
# Long presets with fewer epochs; the slow tests train them in full.
BEGINNINGS = {
    **GOLDEN,
    "xor_mse": ["experiment=xor_mse", "epochs=1000"],
    "distance": ["experiment=distance", "epochs=80"],
}
# The losses before each update. The default tests compare the first losses of the long scripts, the slow tests all.
SCRIPTS: dict[str, Callable[[], list[float]]] = {
    "xor_softmax": lambda: plain.xor_softmax(updates=1000)[0],
    "cancer_raw": lambda: plain.cancer_raw()[0],
    "noisy_xor": lambda: plain.noisy_xor(epochs=20)[0],
    "xor_mse": lambda: plain.xor_mse(updates=1000)[0],
    "distance": lambda: plain.distance(updates=80)[0],
    "signal_background_full": lambda: plain.signal_background(1100)[0],
    "signal_background_minibatch": lambda: plain.signal_background(10)[0],
    "signal_background_online": lambda: plain.signal_background(1)[0],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_losses_equal_those_of_the_plain_script_bit_for_bit(name: str):
    losses = SCRIPTS[name]()
    assert len(losses) >= 1
    assert preset(*BEGINNINGS[name]).losses[: len(losses)] == losses


@pytest.mark.slow
@pytest.mark.parametrize("script", [plain.xor_softmax, plain.xor_mse, plain.distance, plain.noisy_xor])
def test_every_loss_of_a_long_preset(script: Callable[[], tuple[list[float], torch.nn.Module]]):
    assert preset(*GOLDEN[script.__name__]).losses == script()[0]


# The others check the same in less time.
LONG = ("xor_mse", "distance", "xor_softmax", "noisy_xor", "signal_background_online")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in GOLDEN])
def test_both_engines_give_the_same_bits(name: str):
    """The default is engine=replay for long presets and engine=eager for short ones."""
    default = preset(*GOLDEN[name])
    other = "eager" if len(default.losses) >= 200 else "replay"
    assert preset(*GOLDEN[name], f"engine={other}").losses == default.losses


FOR_ANY_TABLE = {"realmlp", "realmlp_s", "tabm"}  # no notebook has them; tests/test_trained.py compares their scripts


def test_every_preset_is_compared():
    presets = {path.stem for path in (CONF / "experiment").glob("*.yaml")} - FOR_ANY_TABLE
    assert presets == {overrides[0].removeprefix("experiment=") for overrides in GOLDEN.values()}


def test_xor_softmax():
    run = preset("experiment=xor_softmax")
    figures = [round(run.losses[i], 4) for i in range(0, 10_000, 1000)]
    assert figures == [0.8012, 0.6842, 0.0035, 0.0012, 0.0007, 0.0005, 0.0004, 0.0003, 0.0003, 0.0002]
    # The validation losses in metrics.csv are the same, because the validation rows are the same four points.
    assert [round(run.val_loss_at(step), 4) for step in range(0, 10_000, 1000)] == figures
    rows = [[0.9998, 0.0002], [0.0002, 0.9998], [0.0002, 0.9998], [0.9998, 0.0002]]
    output = run.predict(XOR)
    assert torch.allclose(output.softmax(1), torch.tensor(rows), atol=5e-5)
    assert run.experiment.objective.prediction(output).tolist() == [0, 1, 1, 0]


def test_cancer_raw():
    run = preset("experiment=cancer_raw")
    figures = """.5 .3 .5 0 .8 .6 .7 .6 .3 .6 .9 .8 .7 .5 .6 .4 .7 .8 .4 .7 .9 .5 .5 .4 1 .5 .5 .4 .6 .6 .5 .6 .6 .7"""
    scores = [metrics.score for metrics in run.batches]
    assert all(isinstance(score, AccuracySum) and score.count == 10 for score in scores)
    assert [score.values()["accuracy"] for score in scores] == [float(figure) for figure in figures.split()]
    assert round(run.losses[0], 4) == 33.3991
    assert {name: len(split) for name, split in run.experiment.data.splits.items()} == {
        "train": 341,
        "val": 113,
        "test": 115,
    }
    assert round(run.final("val")["accuracy"], 4) == 0.6637
    assert round(run.final("test")["accuracy"], 4) == 0.6087


def test_cancer_with_defaults_is_standardised_and_learns():
    assert preset("dataset=cancer").final("test")["accuracy"] >= 0.95


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_noisy_xor(seed: int):
    run = preset("experiment=noisy_xor", f"seed={seed}")
    assert len(run.losses) == 100 * (2500 // 128)
    assert run.final("test")["accuracy"] == 1.0


@pytest.mark.slow
def test_xor_mse():
    run = preset("experiment=xor_mse")
    assert len(run.losses) == 100_000
    assert 3.1e-4 <= run.losses[-1] <= 3.6e-4
    assert run.predict(XOR).flatten().tolist() == pytest.approx([0.016, 0.984, 0.984, 0.020], abs=0.006)
    assert run.final("val")["accuracy"] == 1.0


@pytest.mark.slow
def test_distance():
    run = preset("experiment=distance")
    assert len(run.experiment.data.train) == 40_401
    assert round(run.losses[5000], 2) == 17.19
    assert set(run.final("val")) == {"loss", "rmse", "r2"}


@pytest.mark.slow
def test_distance_stays_at_the_mean_with_seed_0():
    stuck = build(config_of("experiment=distance", "seed=0", "epochs=1500", "threads=1"))
    *_, last = list_evaluations(Training(stuck.learner, stuck.batches, stuck.data, stuck.plan))
    assert round(last.metrics.loss, 2) == 32.78


@pytest.mark.parametrize(
    ("batching", "updates", "figures"),
    [
        ("full", 1, [0.675, 0.766, 0.706]),
        ("minibatch", 110, [0.487, 0.515, 0.502]),
        ("online", 1100, [0.212, 0.208, 0.215]),
    ],
)
def test_signal_background(batching: str, updates: int, figures: list[float]):
    for seed, figure in enumerate(figures):
        run = preset("experiment=signal_background", f"batching={batching}", f"seed={seed}")
        assert len(run.losses) == updates
        # The notebook's figures were rounded twice: 0.76547 was rounded to 0.7655, and that to 0.766.
        assert run.final("val")["loss"] == pytest.approx(figure, abs=0.0006)
