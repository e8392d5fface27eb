"""`seed` covers the global streams of NumPy and Python, which models and datasets of the user's own may draw from."""

import random
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from exp import load, sweep, train
from exp.config import allowlist
from exp.export import export
from exp.results.compare_runs import find_differences

OWN = """
import random

import numpy as np
import torch
from torch import nn


class Jitter(nn.Linear):
    def forward(self, x):
        x = super().forward(x)
        if self.training:
            x = x * float(np.random.normal(1, 0.1)) * random.gauss(1, 0.1)
        return x


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x) * float(np.random.normal(1, 0.1)) * random.gauss(1, 0.1) + torch.rand(())


def rows(n):
    x = np.random.normal(size=(n, 2))
    return x, (x[:, 0] + random.random() > 0).astype(int)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("draws_globally",))
    monkeypatch.syspath_prepend(tmp_path / "own")
    for name, text in {
        "draws_globally.py": OWN,
        "model/jitter.yaml": "_target_: draws_globally.Jitter\n",
        "model/noisy.yaml": "_target_: draws_globally.Noisy\n",
        "dataset/blobs.yaml": "_target_: sklearn.datasets.make_blobs\nn_samples: 60\nsplit: [.6, .2, .2]\n",
        "dataset/rows.yaml": "_target_: draws_globally.rows\nn: 60\nsplit: [.6, .2, .2]\n",
    }.items():
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


LINE = ["--config-dir", "own", "model=jitter", "dataset=rows", "figures=false", "epochs=3", "threads=1"]


def test_a_run_has_the_same_bits_wherever_it_is_trained():
    """Again, as a job of a sweep beside other seeds, resumed, and as its exported script."""
    whole = train(*LINE, "seed=5", "hydra.run.dir=whole")
    random.seed(1)
    np.random.seed(1)
    again = train(*LINE, "seed=5", "hydra.run.dir=again")
    assert list(find_differences(whole.folder, again.folder)) == []
    jobs = sweep(*LINE, "seed=4,5", "sweep.workers=0", "hydra.sweep.dir=sw").runs
    assert jobs["1"].final == whole.final != jobs["0"].final
    train(*LINE, "seed=5", "hydra.run.dir=longer", "save_every=1epoch")
    train("resume=longer", epochs=6)
    six = [word for word in LINE if word != "epochs=3"]
    uninterrupted = train(*six, "seed=5", "hydra.run.dir=six", "save_every=1epoch", epochs=6)
    assert load("longer").final == uninterrupted.final
    assert load("longer").trained.evaluate("test").values() == uninterrupted.final["test"]


def test_evaluations_of_a_model_that_draws_in_them_change_no_bit(capsys: pytest.CaptureFixture[str]):
    line = [word.replace("jitter", "noisy") for word in LINE]
    often = train(*line, "eval_every=1", "hydra.run.dir=often")
    rarely = train(*line, "eval_every=3epochs", "hydra.run.dir=rarely")
    ours, theirs = (torch.load(run.folder / "checkpoints/last.pt")["model"] for run in (often, rarely))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert often.final["test"] == rarely.final["test"]
    export(run="often", format="script", out="script.py")
    capsys.readouterr()
    runpy.run_path("script.py")
    assert capsys.readouterr().out.splitlines()[-1].split()[2] == repr(often.final["test"]["loss"])


def test_the_exported_script_seeds_them_too(capsys: pytest.CaptureFixture[str]):
    whole = train(*LINE, "seed=5", "hydra.run.dir=whole")
    export(run="whole", format="script", out="script.py")
    capsys.readouterr()
    runpy.run_path("script.py")
    assert capsys.readouterr().out.splitlines()[-1].split()[2] == repr(whole.final["test"]["loss"])


@pytest.mark.slow
def test_a_dataset_that_draws_is_not_shared_by_jobs_with_other_seeds():
    line = ["--config-dir", "own", "dataset=blobs", "figures=false", "epochs=1"]
    jobs = sweep(*line, "seed=4,5", "sweep.workers=1", "hydra.sweep.dir=sw").runs
    assert jobs["1"].final == train(*line, "seed=5").final
    assert jobs["0"].summary["data_sha256"] != jobs["1"].summary["data_sha256"]


def test_the_streams_of_the_caller_are_unchanged():
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    expected = torch.rand(1).item(), np.random.rand(), random.random(), random.gauss(0, 1)
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    result = train(*LINE)
    assert result.trained.evaluate("test").values() == result.final["test"]
    assert (torch.rand(1).item(), np.random.rand(), random.random(), random.gauss(0, 1)) == expected


def test_a_seed_may_have_63_bits():
    assert train("dataset=xor", f"seed={2**63 - 1}", "epochs=1", "figures=false").summary["status"] == "finished"
