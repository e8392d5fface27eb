"""What a step may change besides tensors: whatever object keeps it, a change is seen, and no change is made up."""

import array
import contextvars
import ctypes
import datetime
import functools
import io
import logging
import os
import queue
import random
import re
import sys
import threading
import time
import types
import warnings
import weakref
from collections import Counter, OrderedDict, UserList, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import omegaconf
import pandas as pd
import pytest
import torch
from sklearn.linear_model import SGDRegressor
from torch import nn, optim

from exp.engine.side_effects import first_difference, observable_state


class Dict(dict[str, int]): ...


class List(list[int]): ...


class Float(float): ...


class Array(np.ndarray[Any, Any]): ...


class Bytes(bytearray): ...


class Kind(Enum):
    ONE = 1


class Slots:
    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made = 0


@dataclass
class Counts:
    made: int = 0


def made_of(value: Any) -> Any:
    value.made = 0
    return value


def count(value: Any) -> None:
    value.made += 1


def count_first(value: Any) -> None:
    value[0] += 1


def count_in_step(schedule: Any) -> None:
    with warnings.catch_warnings(action="ignore"):  # that the optimizer has made no step
        schedule.step()


def function() -> None: ...


@functools.lru_cache
def cached(number: int) -> int:
    return number


variable = contextvars.ContextVar("variable", default=0)

# What keeps a number, and how it changes.
KEEPERS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "a namespace": (lambda: types.SimpleNamespace(made=0), count),
    "attributes of a dict": (lambda: made_of(Dict()), count),
    "attributes of a list": (lambda: made_of(List()), count),
    "attributes of a float": (lambda: made_of(Float()), count),
    "attributes of an array": (lambda: made_of(np.zeros(1).view(Array)), count),
    "attributes of a function": (lambda: made_of(function), count),
    "attributes of a partial function": (lambda: made_of(functools.partial(print)), count),
    "attributes of a bytearray": (lambda: made_of(Bytes()), count),
    "slots": (Slots, count),
    "a dataclass": (Counts, count),
    "a thread's object": (lambda: made_of(threading.local()), count),
    "a context variable": (lambda: variable, lambda one: one.set(one.get() + 1)),
    "a bytearray": (lambda: bytearray(1), count_first),
    "an array": (lambda: array.array("i", [0]), count_first),
    "a view of memory": (lambda: memoryview(bytearray(1)), count_first),
    "a list of the user's": (lambda: UserList([0]), count_first),
    "a number of C": (lambda: ctypes.c_int(0), lambda one: setattr(one, "value", one.value + 1)),
    "an array of objects": (lambda: np.array([Counts()], dtype=object), lambda one: count(one[0])),
    "a series": (lambda: pd.Series([0]), count_first),
    "a table": (lambda: pd.DataFrame({"a": [0], "b": ["x"]}), lambda one: one.__setitem__("a", one["a"] + 1)),
    "a queue": (lambda: queue.Queue(), lambda one: one.put(1)),
    "bits of NumPy": (lambda: np.random.PCG64(0), lambda one: one.random_raw()),
    "a schedule of torch": (lambda: optim.lr_scheduler.StepLR(optim.SGD([torch.zeros(1)]), 2), count_in_step),
    "an estimator": (lambda: SGDRegressor(random_state=0), lambda one: one.partial_fit([[1]], [3])),
    "a module": (lambda: made_of(types.ModuleType("of_the_user")), count),
    "a config": (lambda: omegaconf.OmegaConf.create({"made": 0}), count),
    "a function with a cache": (lambda: cached, lambda one: one(cached.cache_info().misses)),
    "a stream": (lambda: io.StringIO("some numbers"), lambda one: one.read(1)),
}

# Objects of other kinds that a model may keep.
OTHERS: dict[str, Callable[[], Any]] = {
    "a logger": lambda: logging.getLogger("some.model"),
    "an output": lambda: sys.stderr,
    "a lock": threading.Lock,
    "a condition": threading.Condition,
    "a generator": torch.Generator,
    "a distribution": lambda: torch.distributions.Normal(0.0, 1.0, validate_args=False),
    "a path": Path,
    "a pattern": lambda: re.compile("a"),
    "a time": lambda: datetime.datetime(2026, 1, 1),
    "a member": lambda: Kind.ONE,
    "types": lambda: [torch.float32, torch.device("cpu"), np.dtype("f4"), np.float64(2), int | None, ..., slice(2)],
    "functions": lambda: [nn.functional.relu, functools.partial(nn.functional.gelu, approximate="tanh"), len, np],
    "collections": lambda: [defaultdict(list, a=[1]), Counter("aa"), OrderedDict(a=1), deque([1]), {2}, range(3)],
    "rows": lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(2))),
    "references": lambda: [weakref.WeakKeyDictionary(), weakref.ref(Kind)],
    "a random stream": lambda: random.Random(0),
}


class Keeper(nn.Module):
    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.kept = kept


def test_a_change_of_any_object_is_seen_and_nothing_else():
    for name, (make, change) in KEEPERS.items():
        model = Keeper(make())
        change(model.kept)  # a first use may do more
        before, again = observable_state([model]), observable_state([model])
        assert first_difference(before, again) is None, name
        change(model.kept)
        assert first_difference(again, observable_state([model])) in ("kept of Keeper", "the global variable made"), (
            name
        )


def test_objects_that_keep_no_state_of_a_step_read_alike():
    models = {name: Keeper(make()) for name, make in OTHERS.items()}
    for name, model in models.items():
        assert first_difference(observable_state([model]), observable_state([model])) is None, name


class Reading(nn.Module):
    """A module whose forward reads the variables of other modules."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * float(os.environ.get("EXP_MADE", "0")) * globals()["made_here"]


made_here = 0


def test_variables_of_other_modules_and_those_found_by_name(monkeypatch: pytest.MonkeyPatch):
    model = Reading()
    before = observable_state([model])
    monkeypatch.setenv("EXP_MADE", "1")
    after = observable_state([model])
    assert first_difference(before, after) == "environ of the module os"
    monkeypatch.setattr(sys.modules[__name__], "made_here", 1)
    assert first_difference(after, observable_state([model])) == "the global variable made_here"


def test_the_code_of_installed_packages_is_not_read():
    """That of a config reaches sympy's: it took four seconds, and the outputs that it prints to seemed to change."""
    config = omegaconf.OmegaConf.create({"width": 8, "layers": [1, 2]})
    began = time.process_time()
    state = observable_state([Keeper(config)])
    assert time.process_time() - began < 0.5
    assert not any("global variable" in name or "Lexer" in name for name in state)


def test_attributes_of_a_module_of_torchscript():
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.made = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.made += 1
            return x

    with warnings.catch_warnings(action="ignore"):  # it is deprecated
        model = torch.jit.script(Counting())
    before = observable_state([model])
    model(torch.zeros(1))
    assert first_difference(before, observable_state([model])) == "made of RecursiveScriptModule"
