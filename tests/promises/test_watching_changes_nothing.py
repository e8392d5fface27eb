"""Promise 4: evaluation, logging, figures and checkpoints change no random state and no parameter."""

import csv
from itertools import accumulate, product
from pathlib import Path

import pytest
import torch
from conftest import composed, config_of, one_in
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from exp.config.run_spec import RunSpec
from exp.config.validation import validate
from exp.engine.step import EagerStep
from exp.results import checkpoints, event_file
from exp.run import run
from exp.training.build import build
from exp.training.events import Histograms, Noted
from exp.training.learner import Learner
from exp.training.loop import Training


def train_and_read(folder: Path, *overrides: str) -> dict[str, torch.Tensor]:
    folder.mkdir(parents=True)
    cfg = composed("dataset=moons", "model.dropout=0.3", "epochs=3", "threads=1", *overrides)
    choices = dict.fromkeys(("dataset", "model", "optimizer", "scheduler", "loss"), "x")
    run(RunSpec(validate(cfg), folder, OmegaConf.to_yaml(cfg), choices, []))
    return checkpoints.read(folder / "checkpoints/last.pt")["model"]


@pytest.mark.parametrize("mode", ["batching.batch_size=30", "batching=full"])
def test_frequent_and_rare_logging_give_the_same_parameters(tmp_path: Path, mode: str):
    rarely = train_and_read(
        tmp_path / "a", mode, "eval_every=3epochs", "log_every=3epochs", "save_every=3epochs", "figures=false"
    )
    often = train_and_read(tmp_path / "b", mode, "eval_every=1", "log_every=1", "save_every=2", "figures=true")
    assert rarely.keys() == often.keys()
    assert all(torch.equal(rarely[name], often[name]) for name in rarely)
    with (tmp_path / "b/metrics.csv").open() as rows:
        assert len(list(csv.DictReader(rows))) > 6


def test_the_final_random_state_does_not_depend_on_evaluation():
    states = []
    for cadence in ("1", "3epochs"):
        experiment = build(config_of("dataset=moons", "model.dropout=0.3", "epochs=3", f"eval_every={cadence}"))
        list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


@pytest.mark.parametrize(
    ("mode", "engine"), one_in(3, product(["batching=minibatch", "batching=full"], ["replay", "eager"]))
)
def test_histograms_change_no_bit_and_match_the_parameters(tmp_path: Path, mode: str, engine: str):
    arguments = (mode, f"engine={engine}", "optimizer=adam", "figures=false")
    plain = train_and_read(tmp_path / "a", *arguments)
    watched = train_and_read(tmp_path / "b", *arguments, "watch=true")
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
    read = EventAccumulator(str(tmp_path / "b"), {"histograms": 0}).Reload()
    assert set(read.Tags()["histograms"]) == {f"{kind}/{name}" for kind in ("weights", "gradients") for name in plain}
    assert EventAccumulator(str(tmp_path / "a")).Reload().Tags()["histograms"] == []
    epochs = [event.step for event in read.Scalars("loss/val")]
    experiment = build(config_of("dataset=moons", "model.dropout=0.3", *arguments))
    model, data = experiment.model.eval(), experiment.data
    model.load_state_dict(watched)
    model.zero_grad()
    experiment.objective.criterion(model(data.train.x), data.train.y).backward()
    for name, parameter in model.named_parameters():
        for kind, truth in (("weights", parameter.detach()), ("gradients", parameter.grad)):
            events = read.Histograms(f"{kind}/{name}")
            assert [event.step for event in events] == epochs
            histogram = events[-1].histogram_value
            assert histogram.num == truth.numel()
            assert (histogram.min, histogram.max) == pytest.approx((float(truth.min()), float(truth.max())))
            assert histogram.sum == pytest.approx(float(truth.double().sum()), abs=1e-6)
            # A value within rounding of a bin edge, such as a gradient of 0, may be counted on either side.
            rounding = 1e-6 * float(truth.abs().max())
            for count, limit in zip(accumulate(histogram.bucket), histogram.bucket_limit, strict=True):
                assert int((truth < limit - rounding).sum()) <= count <= int((truth <= limit + rounding).sum())


class RandomInEvaluation(torch.nn.Module):
    """Draws random numbers in evaluation mode, and counts its calls."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(in_features, out_features)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.layer(x) * (1 + 0.01 * torch.rand(()))


class WithoutGradients(torch.nn.Linear):
    """Has no gradients in evaluation mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.set_grad_enabled(self.training):
            return super().forward(x)


@pytest.mark.parametrize("kind", [RandomInEvaluation, WithoutGradients])
def test_histograms_change_no_bit_of_an_unusual_model(kind: type[torch.nn.Module]):
    ends = []
    for watch in (False, True):
        experiment = build(config_of("dataset=moons", "engine=eager", "epochs=3", f"watch={str(watch).lower()}"))
        torch.manual_seed(0)
        model = kind(2, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        criterion = experiment.objective.criterion
        learner = Learner(model, experiment.objective, optimizer, EagerStep(model, criterion, optimizer, None))
        events = list(Training(learner, experiment.batches, experiment.data, experiment.plan))
        ends.append([*model.state_dict().values(), torch.get_rng_state()])
        watched = [event for event in events if isinstance(event, Histograms)]
        assert len(watched) == (4 if watch else 0)
    assert all(torch.equal(*pair) for pair in zip(*ends, strict=True))
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert [note.startswith("watch=true: no histograms of gradients") for note in notes] == [True] * (
        kind is WithoutGradients
    )
    assert all(event.gradients for event in watched) == (kind is RandomInEvaluation)


def test_numbers_too_large_for_bins_are_left_out(tmp_path: Path):
    encoded = event_file.histograms({"a": torch.tensor([1e18, 1e18]), "b": torch.tensor([1.0, torch.inf])}, 0)
    assert [value.tag for value in encoded.summary.value] == ["b"]
