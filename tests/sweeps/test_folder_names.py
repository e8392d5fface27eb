"""A folder name that is too long is refused before a sweep writes anything."""

from pathlib import Path

import pytest

from exp import sweep
from exp.errors import ExpError


@pytest.mark.slow
@pytest.mark.parametrize("dry_run", ["false", pytest.param("true", marks=pytest.mark.slow)])
def test_a_name_that_is_too_long_is_refused(dry_run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    long = ["log_every=auto", "eval_every=auto", "save_every=auto", "figures=false", "watch=false", "engine=auto"]
    long += ["early_stopping.min_delta=0.0000001", "early_stopping.restore_best=false", "batching.batch_size=2"]
    long += ["optimizer.weight_decay=0.0000001", "batching.drop_last=false", "clip_grad_norm=1.00000001"]
    subdir = "hydra.sweep.subdir='${hydra.job.override_dirname}'"
    with pytest.raises(ExpError, match=r"hydra.sweep.subdir: a folder name of \d+ bytes is too long \(at most 255\)"):
        sweep("dataset=xor", *long, "seed=1,2", "hydra.sweep.dir=sw", subdir, f"sweep.dry_run={dry_run}")
    assert not Path("sw").exists()
