import os
import shlex
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from conftest import config_of

from exp.errors import ConfigError
from exp.training.devices import list_extra_threads, select_device


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one")
def test_a_missing_device_is_an_error():
    with pytest.raises(ConfigError, match=r"device.name=cuda: not available on this machine"):
        select_device("cuda")


def test_an_unknown_device_is_an_error():
    with pytest.raises(ConfigError, match=r"device.name=abacus: unknown device 'abacus'"):
        select_device("abacus")


@pytest.mark.parametrize(("given", "expected"), [(None, "passive"), ("active", "active")])
def test_threads_of_torch_sleep_while_they_wait_unless_the_user_decides(given: str | None, expected: str):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    line = "import os, sys, exp; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", line], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected, "False"]


@pytest.mark.parametrize("name", ["cuda:0", "cuda:1", "cuda:63"])
def test_an_option_with_an_index_is_the_device_of_that_name(name: str):
    assert config_of(f"device={name}").device == config_of(f"device.name={name}").device


def test_a_sweep_has_a_job_on_each_device(exp: Callable[..., subprocess.CompletedProcess[str]]):
    done = exp("-m", "device=cuda:0,cuda:1", "sweep.dry_run=true")
    assert done.returncode == 0, done.stderr
    words = [shlex.split(line)[1] for line in done.stdout.splitlines() if "cuda" in line]
    assert words == ["device=cuda:0", "device=cuda:1"]
    assert [config_of(word).device.name for word in words] == ["cuda:0", "cuda:1"]


def test_an_unknown_device_has_a_cure_that_is_none_of_its_kind(exp):
    done = exp("device=cpu:1")
    assert "unknown device 'cpu:1'" in done.stderr
    assert done.stderr.endswith("\n  try: device=cpu\n")


def test_the_devices_of_a_sweep_have_no_backslash(exp):
    done = exp("-m", "device=cuda:62,cuda:63", "epochs=1", "figures=false", "sweep.workers=0")
    assert "failed    0: device=cuda:62: " in done.stdout
    done = exp("device=cuda:0,cuda:1")
    assert "\n  try: device=cuda:0; in a sweep (-m), hydra/launcher=ray runs one job on each GPU\n" in done.stderr


def test_more_threads_than_cores_are_noted(monkeypatch: pytest.MonkeyPatch):
    """Cores that the process may use: taskset, Slurm and containers leave it fewer than the machine has."""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {process, 7}, raising=False)
    assert [*list_extra_threads(None), *list_extra_threads(2)] == []
    (note,) = list_extra_threads(1000)
    assert note.startswith("threads=1000 is more than the 2 cores that exp may use")
    assert note.endswith("threads=2 uses all of them")
