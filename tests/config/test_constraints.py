import pytest
from conftest import config_of

from exp.config import constraints
from exp.errors import ConfigError
from exp.models.activations import ACTIVATIONS


def test_constraints_list_the_activations_without_importing_torch():
    allowed, _ = constraints.CONSTRAINTS["model.activation"]
    assert isinstance(allowed, constraints.OneOf)
    assert allowed.options == tuple(ACTIVATIONS)


def test_a_constraint_is_of_the_classes_in_conf_and_not_of_others_with_the_same_argument():
    adafactor = ["optimizer=adam", "optimizer._target_=torch.optim.Adafactor"]
    removed = ["~optimizer.betas", "optimizer.fused=false", "~optimizer.fused"]  # Hydra does not remove a null
    config = config_of(*adafactor, *removed, "optimizer.eps=[1e-30,1e-3]")
    assert config.optimizer["eps"] == [1e-30, 1e-3]
    with pytest.raises(ConfigError, match=r"optimizer\.eps must be a number"):
        config_of("optimizer=adam", "optimizer.eps=[1e-30,1e-3]")
