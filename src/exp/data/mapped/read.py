"""Read the splits that `write_splits` wrote: tensors over mapped files."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from exp.data.mapped.maps import map_array
from exp.data.mapped.write import META, SPLITS
from exp.data.preprocessing import Preprocessing
from exp.data.splits import Split, Splits


def read_splits(folder: Path) -> Splits:
    """Return the splits in the files of `folder`. Their rows stay there."""
    meta: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
    preprocessing = Preprocessing.from_json(meta["preprocessing"])
    splits = [
        _read_split(folder, name, size, meta, preprocessing) for name, size in zip(SPLITS, meta["sizes"], strict=False)
    ]
    train, val, test = splits if len(splits) == 3 else splits * 3
    return Splits(train, val, test, preprocessing, meta["fingerprint"], tuple(meta["notes"]))


def _read_split(folder: Path, name: str, size: int, meta: dict[str, Any], preprocessing: Preprocessing) -> Split:
    def read(part: str, dtype: DTypeLike, *shape: int) -> NDArray[Any]:
        path = folder / f"{name}.{part}"
        return map_array(path, dtype, (size, *shape)) if size else np.zeros((0, *shape), dtype)

    y_type, y_shape = meta["y"]
    weights = _to_tensor(read("weights", np.float32)) if (folder / f"{name}.weights").exists() else None
    has_given = (folder / f"{name}.given").exists()
    return Split(
        _to_tensor(read("x", np.float32, meta["features"])),
        _to_tensor(read("y", y_type, *y_shape)),
        read("rows", np.int64),
        preprocessing.target_scale,
        weights,
        np.array(read("given", np.float64, preprocessing.values)) if has_given else None,
    )


def _to_tensor(array: NDArray[Any]) -> torch.Tensor:
    """Return the array as a tensor, also if it must not be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
