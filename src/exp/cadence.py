"""How often: a knob such as `log_every` as a number of steps."""

import re

CADENCE = re.compile(r"auto|([1-9]\d*)\s*(steps?|epochs?)?")


def period(knob: str, steps_per_epoch: int, auto: int) -> int:
    """The number of steps that "auto", "100", "100 steps" or "2 epochs" means."""
    match = CADENCE.fullmatch(knob)
    assert match is not None  # check() refused everything else
    if knob == "auto":
        return auto
    return int(match[1]) * (steps_per_epoch if (match[2] or "").startswith("epoch") else 1)


def about(total: int, points: int = 1000) -> int:
    """The smallest period at which `total` gives at most `points` points."""
    return max(1, -(-total // points))
