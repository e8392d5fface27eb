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
