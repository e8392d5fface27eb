"""Suggest the default of the chosen options for a number that is not valid, or with which a run diverged."""

import math
import re
import shlex

from omegaconf import OmegaConf

from exp.cli.command_line import CommandLine
from exp.config.compose import compose_config
from exp.config.constraints import CONSTRAINTS, example
from exp.config.limits import Number
from exp.config.overrides import override_key
from exp.errors import ConfigError, Diverged, ExpError, as_yaml


def with_lower_rate(error: ExpError, line: CommandLine) -> ExpError:
    """Return an error of a run that diverged with a rate below the one used and the default of its options."""
    used = re.search(r"optimizer\.lr=([^ ,]+)", error.fix)
    if used is None or not isinstance(error, Diverged):
        return error
    words = [word for word in line.overrides if override_key(word) not in ("optimizer.lr", "resume")]
    default = OmegaConf.select(compose_config(words, line.search), "optimizer.lr")
    lower = f"{min(float(used[1]), default / 2 if isinstance(default, float) else math.inf):.3g}"
    fix = error.fix.replace(used[0], f"optimizer.lr={lower}")
    return Diverged(error.problem, fix, step=error.step, key=error.key)


def with_default(problem: ExpError, line: CommandLine) -> ExpError:
    """Return a problem with the default of the options in place of a number that is only an example of a valid one.

    A rate that suits one dataset or optimizer does not suit another. A default of 0 means that something is off, which
    is not what was meant.
    """
    key = problem.key
    limit = CONSTRAINTS[key][0] if key in CONSTRAINTS else None
    if key is None or not isinstance(limit, Number) or problem.override != example(key) or line.multirun:
        return problem
    words = [word for word in line.overrides if override_key(word) != key]
    try:
        default = OmegaConf.select(compose_config(words, line.search), key, throw_on_missing=True)
    except Exception:  # other words are wrong too
        return problem
    if not default or not limit.accepts(default):
        return problem
    override = f"{key}={as_yaml(default)}"
    return ConfigError(problem.problem, shlex.quote(override), key=key, override=override)
