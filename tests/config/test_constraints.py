from exp.config import constraints
from exp.models.mlp import ACTIVATIONS


def test_constraints_list_the_activations_without_importing_torch():
    allowed, _ = constraints.CONSTRAINTS["model.activation"]
    assert isinstance(allowed, constraints.OneOf)
    assert allowed.options == tuple(ACTIVATIONS)
