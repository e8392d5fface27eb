"""What the command `exp` changes in its process while it runs."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOWrapper

from hydra.core.hydra_config import HydraConfig

from exp.sweeps.executors.worker_pool import stop_early_workers


def prepare_streams() -> None:
    """Replace characters that the terminal cannot print, such as ±, by `?`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def full_hydra_errors() -> Generator[bool]:
    """Make Hydra raise its errors instead of printing them. Yield whether HYDRA_FULL_ERROR was set."""
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
    """Use the HydraConfig of this command. The caller's is restored when the context exits."""
    before, HydraConfig.instance().cfg = HydraConfig.instance().cfg, None
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


@contextmanager
def early_workers() -> Generator[None]:
    """Stop the worker processes that were started before their sweep when the context exits."""
    try:
        yield
    finally:
        stop_early_workers()
