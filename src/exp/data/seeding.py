"""The random numbers of the plain PyTorch script: the same draws from the same generator in the same order.

A plain script seeds, splits the rows, seeds again, builds its model, and then iterates over a DataLoader. Like that
script, everything here uses torch's default generator, so dropout draws the same noise too. The global streams of NumPy
and Python are for the user's own models and datasets.
"""

import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed torch's random generators of the CPU and all GPUs, and the global streams of NumPy and Python."""
    _seed_torch(seed)
    np.random.seed(numpy_seed(seed))
    random.seed(seed)


def _seed_torch(seed: int) -> None:
    """Do as `torch.manual_seed`, which without any GPU takes a hundred times as long and keeps a stack for each call.

    torch keeps them to seed the GPUs when they are first used.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def numpy_seed(seed: int) -> int:
    """Return the seed of NumPy's global stream, which takes 32 bits."""
    return seed % 2**32


def get_global_streams() -> dict[str, Any]:
    """Return the states of the global streams of NumPy and Python, as tensors and plain values."""
    version, words, gauss = random.getstate()
    numpy: Any = np.random.get_state(legacy=False)
    return {
        "python": (version, torch.tensor(words), gauss),
        "numpy": {
            **numpy,
            "state": {**numpy["state"], "key": torch.from_numpy(numpy["state"]["key"].astype(np.int64))},
        },
    }


def set_global_streams(states: dict[str, Any]) -> None:
    """Restore what `get_global_streams` returned. States that are not there stay as they are."""
    if "python" in states:
        version, words, gauss = states["python"]
        random.setstate((version, tuple(words.tolist()), gauss))
    if "numpy" in states:
        numpy = states["numpy"]
        np.random.set_state(
            {**numpy, "state": {**numpy["state"], "key": numpy["state"]["key"].numpy().astype(np.uint32)}}
        )


@contextmanager
def preserved_streams() -> Generator[None]:
    """Restore the random streams of torch (CPU), NumPy and Python when the context exits."""
    torch_state, python, numpy = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)
    try:
        yield
    finally:
        torch.set_rng_state(torch_state)
        random.setstate(python)
        np.random.set_state(numpy)


def is_drawn_from(before: tuple[object, ...]) -> bool:
    """Return whether a global stream differs from `before`, which `stream_positions` returned."""
    return before != stream_positions()


def stream_positions() -> tuple[object, ...]:
    """Return values that change when a number is drawn from the global streams of torch, NumPy or Python."""
    numpy: Any = np.random.get_state(legacy=False)
    state = numpy["state"]
    drawn = (state["key"].tobytes(), state["pos"], numpy["has_gauss"])
    return (torch.get_rng_state().numpy().tobytes(), drawn, random.getstate())


def split_order(n: int, seed: int) -> Tensor:
    """Return the order [n] in which `random_split` assigns rows after `torch.manual_seed(seed)`. Seeds torch."""
    _seed_torch(seed)
    return torch.randperm(n)


def epoch_order(n: int, shuffle: bool) -> Tensor | None:
    """Return the order [n] in which a DataLoader would visit n rows in its next epoch; None: unchanged.

    Draws the same numbers as the DataLoader: a seed for its workers (unused), and with `shuffle` a seed for the order.
    """
    seeds = cast(list[int], torch.empty(2 if shuffle else 1, dtype=torch.int64).random_().tolist())
    if not shuffle:
        return None
    generator = torch.Generator()
    generator.manual_seed(seeds[1])
    return torch.randperm(n, generator=generator)
