import pytest
from hypothesis import given
from hypothesis import strategies as st

from exp.training.plan import compute_period, parse_cadence


@pytest.mark.parametrize(
    ("cadence", "steps"),
    [("auto", 7), ("1", 1), ("100", 100), ("100 steps", 100), ("1step", 1), ("2 epochs", 70), ("1epoch", 35)],
)
def test_a_cadence_in_steps(cadence: str, steps: int):
    assert parse_cadence(cadence, steps_per_epoch=35, auto=7) == steps


@given(st.integers(1, 10**9))
def test_a_run_of_any_length_has_about_1000_points(total: int):
    points = total // compute_period(total)
    assert points <= 1000
    assert points >= min(total, 500)
