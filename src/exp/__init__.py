"""Config-driven experiments with neural networks. From Python: `from exp import train, sweep, load`."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exp.api import Result, SweepResult, load, sweep, train

if sys.version_info >= (3, 14):
    # Hydra 1.3.8 gives argparse a help text that is no string until it is shown, and argparse now reads each when it is
    # given. The shim is here because the command, `from exp import train` and a sweep's workers all import this first.
    import argparse

    _check_help = argparse.ArgumentParser._check_help

    def _check_help_that_is_there(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
        if isinstance(action.help, str):
            _check_help(parser, action)

    argparse.ArgumentParser._check_help = _check_help_that_is_there

__all__ = ["Result", "SweepResult", "load", "sweep", "train"]


def __getattr__(name: str) -> Any:
    """Those of exp.api, late: the command line answers a mistake before it imports torch."""
    if name not in __all__:
        raise AttributeError(f"module 'exp' has no attribute {name!r}")

    from exp import api

    return getattr(api, name)
