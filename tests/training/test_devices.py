import os
import subprocess
import sys

import pytest
import torch

from exp.errors import ConfigError
from exp.training.devices import select_device


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
