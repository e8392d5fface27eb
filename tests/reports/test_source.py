"""What a plain script imports of the user's modules."""

import pytest
from conftest import config_of

from exp.config import allowlist
from exp.reports.source import is_user_code, user_modules


@pytest.mark.parametrize(
    ("target", "expected"), [(None, False), ("torch.nn.Linear", False), ("exp.models.mlp.MLP", False), ("a.B", True)]
)
def test_a_class_that_is_neither_of_torch_nor_of_exp_is_the_users(target: str | None, expected: bool):
    assert is_user_code({"_target_": target}) == expected


def test_the_users_classes_are_imported_from_their_modules(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("their_nets",))
    config = config_of(
        "model=linear", "model._target_=their_nets.Net", "loss._target_=their_nets.Loss", "scheduler=none"
    )
    assert user_modules(config) == {"their_nets": ["Net", "Loss"]}
