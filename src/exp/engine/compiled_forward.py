"""The model's forward pass and its loss, compiled by torch.compile: compile=true."""

import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor

from exp.errors import ConfigError, pluralize

# x [B, ...] and y [B, ...] -> loss and outputs.
Forward: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class CompiledForward:
    """Computes what `forward` computes, up to rounding, with kernels for each number of rows.

    Random numbers are those of the eager step. The first call for a number of rows compiles, inside `compiling`.

    Attributes:
        notes: What each compilation cost, in order.
    """

    def __init__(self, forward: Forward) -> None:
        self.notes: list[str] = []
        self._rows: set[int] = set()  # that kernels exist for
        # Kernels for any number of rows would depend on which numbers came before, and so would the bits of a resumed
        # run.
        began = time.perf_counter()
        with warnings.catch_warnings(action="ignore"):  # torch warns of its own deprecations
            self._compiled = torch.compile(forward, dynamic=False, options={"fallback_random": True})
        self._seconds = time.perf_counter() - began  # of importing the compiler, printed with the first compilation

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self._compiled(x, y)

    @contextmanager
    def compiling(self, rows: int) -> Generator[None]:
        """Note the seconds of forward and backward passes inside, if they are the first for so many rows.

        Raises:
            ConfigError: They cannot be compiled.
        """
        if rows in self._rows:
            yield
            return
        began = time.perf_counter()
        try:
            with warnings.catch_warnings(action="ignore"):
                yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # what torch.compile raises, also without a compiler
            reason = str(error).partition("\n")[0]
            compiler = "a C++ compiler such as g++, or " if "ompiler" in reason else ""
            raise ConfigError(
                f"compile=true: torch.compile failed: {reason}", f"{compiler}compile=false", key="compile"
            ) from error
        self._rows.add(rows)
        seconds, self._seconds = self._seconds + time.perf_counter() - began, 0.0
        self.notes.append(f"compile=true: compiling the step for {pluralize(rows, 'row')} took {seconds:.1f} s")
