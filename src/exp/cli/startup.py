"""What the command `exp` changes in its process while it runs."""

import gc
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOWrapper

from hydra.core.hydra_config import HydraConfig

from exp.config import allowlist
from exp.sweeps.executors.worker_pool import stop_early_workers


def prepare_streams() -> None:
    """Let a terminal that cannot print ± print the rest."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def no_gc_during_import() -> Generator[None]:
    """Disable garbage collection, which takes half a second during the imports; a run enables it again.

    The user's modules are found in the current folder, as with `python -m exp`.
    """
    if allowlist.USER_PACKAGES and "" not in sys.path:
        sys.path.insert(0, "")
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def full_hydra_errors() -> Generator[bool]:
    """Hydra raises its errors instead of printing them. The value: whether the user has asked for tracebacks."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield before == "1"
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextmanager
def own_hydra_config() -> Generator[None]:
    """HydraConfig is this command's inside, and the caller's again behind it."""
    before, HydraConfig.instance().cfg = HydraConfig.instance().cfg, None
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


@contextmanager
def early_workers() -> Generator[None]:
    """Worker processes that were started before their sweep end with the command."""
    try:
        yield
    finally:
        stop_early_workers()
