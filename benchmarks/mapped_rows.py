"""Rows per second of shuffled batches from a file, and their order after a restart in mid-epoch: exp and two peers.

    python benchmarks/mapped_rows.py [ROWS] [BATCH_SIZE]

It measures the gathering of batches alone, in one process and one thread: exp in memory and mapped, a DataLoader over
a NumPy memory map, and Hugging Face datasets, if it is installed. The file stays in the system's cache. After 50
batches, what has a state saves it, is started again with it, and its next batches are compared with those of the
uninterrupted epoch. A DataLoader of torch has no state: a script must seed it and read the first batches again. The
fastest of three runs counts.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from exp.data.batches import Batches
from exp.data.mapped import maps
from exp.data.splits import Split

FEATURES = 30
# Batches that are timed at most.
MOST = 2000

Start = Callable[[int], Iterator[Tensor]]


def exp_batches(x: Tensor, size: int) -> Start:
    """The batches after `done` batches, with the state of the random generator that a checkpoint has."""
    batches = Batches(Split(x, torch.zeros(len(x), dtype=torch.int64)), size, shuffle=True, drop_last=False)
    torch.manual_seed(0)
    state = torch.get_rng_state()

    def start(done: int) -> Iterator[Tensor]:
        torch.set_rng_state(state)
        stacks = batches.stream(done, state).take(sys.maxsize)
        return (rows for stack in stacks for rows, _ in stack)

    return start


class MemoryMap(TorchDataset[Tensor]):
    def __init__(self, rows: np.ndarray[Any, Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Tensor:
        return torch.from_numpy(np.array(self.rows[number]))


def loader_batches(dataset: Any, size: int) -> Start:
    def start(done: int) -> Iterator[Tensor]:
        assert not done, "a DataLoader has no state"
        torch.manual_seed(0)
        loader = DataLoader(dataset, size, shuffle=True)
        return (
            batch["x"] if isinstance(batch, dict) else batch[0] if isinstance(batch, list) else batch
            for batch in loader
        )

    return start


def iterable_batches(dataset: Any, size: int) -> Start:
    """Batches of an iterable dataset of Hugging Face, restarted with its own state."""

    def shuffle() -> Any:
        rows = dataset.to_iterable_dataset(num_shards=64).with_format("numpy")
        return rows.shuffle(seed=0, buffer_size=10_000).batch(size)

    def start(done: int) -> Iterator[Tensor]:
        batches = shuffle()
        if done:
            first = iter(batches)
            for _ in range(done):
                next(first)
            state = batches.state_dict()
            batches = shuffle()  # as in a new process
            batches.load_state_dict(state)
        return (torch.from_numpy(np.asarray(batch["x"])) for batch in batches)

    return start


def write_arrow(folder: Path, x: np.ndarray[Any, Any]) -> Any:
    """Return the rows as a dataset of Hugging Face in a file; None if it is not installed."""
    try:
        import datasets
        import pyarrow as pa
    except ImportError:
        return None
    values = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), FEATURES)
    datasets.Dataset(pa.table({"x": values})).save_to_disk(str(folder / "arrow"))
    return datasets.load_from_disk(str(folder / "arrow"))


def measure(start: Start, has_state: bool) -> tuple[float, str]:
    """Return rows per second, and whether batches 50 to 54 are the same after a restart at batch 50."""
    whole: list[Tensor] = []
    began, count = time.perf_counter(), 0
    for number, batch in enumerate(start(0)):
        if number < 55:
            whole.append(batch.clone())
        count += len(batch)
        if number + 1 == MOST:
            break
    seconds = time.perf_counter() - began
    if not has_state:
        return count / seconds, "no state"
    again = start(50)
    is_same = all(torch.equal(next(again), batch) for batch in whole[50:])
    return count / seconds, "the same bits" if is_same else "another order"


def main() -> None:
    rows, size = (int(float(word)) for word in [*sys.argv[1:], "1e6", "10"][:1] + [*sys.argv[2:], "10"][:1])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.random.default_rng(0).standard_normal((rows, FEATURES), dtype=np.float32).tofile(folder / "x")
        x = np.fromfile(folder / "x", np.float32).reshape(rows, FEATURES)
        mapped = torch.from_numpy(maps.map_array(folder / "x", np.float32, x.shape))
        memory_map = np.memmap(folder / "x", np.float32, "r", shape=x.shape)
        arrow = write_arrow(folder, x)
        table: list[tuple[str, bool, Start | None]] = [
            ("exp, in memory", True, exp_batches(torch.from_numpy(x), size)),
            ("exp, mapped", True, exp_batches(mapped, size)),
            ("DataLoader, rows in memory", False, loader_batches(TensorDataset(torch.from_numpy(x)), size)),
            ("DataLoader over numpy.memmap", False, loader_batches(MemoryMap(memory_map), size)),
            ("datasets in a DataLoader", False, arrow and loader_batches(arrow.with_format("torch"), size)),
            ("datasets, iterable", True, arrow and iterable_batches(arrow, size)),
        ]
        print(f"{rows:,} rows of {FEATURES} features, batches of {size}")
        for what, has_state, start in table:
            if start is None:
                print(f"{what:<30} not installed")
                continue
            runs = [measure(start, has_state) for _ in range(3)]
            speed, restart = max(runs)
            print(f"{what:<30} {speed:>12,.0f} rows/s   after a restart in mid-epoch: {restart}")


if __name__ == "__main__":
    main()
