"""Rows that a caller in Python gives to `train` and `sweep`, as overrides that name them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray

from exp.config.nearest_names import nearest
from exp.config.overrides import quote_names, text_override
from exp.data.frame import Frame, import_pandas
from exp.data.held import HeldRows, hold
from exp.data.reading.header import strip_name
from exp.data.seeding import preserved_streams, seed_everything
from exp.data.user_dataset import is_torch_dataset, read_rows
from exp.errors import ConfigError, pluralize

Targets: TypeAlias = str | int | Sequence[str | int]

_KINDS = 'train(df, target=COLUMN), train((x, y)), train(dataset=MyDataset()), or train("optimizer.lr=0.1")'

# The name of a target that has none: y of a pair whose x is a DataFrame.
_TARGET = "target"

# What the array of the rows' weights is called.
WEIGHTS = "sample_weight"


@dataclass(frozen=True)
class WeighedArrays:
    """Arrays with the names of the classes, as a Bunch has them, and the weights [N] of the rows; None: there are none.

    A Bunch of the caller's own may have a `sample_weight`, which is taken no more than its other arrays.
    """

    data: NDArray[Any]
    target: NDArray[Any]
    target_names: NDArray[Any] | None
    sample_weight: NDArray[np.float64] | None


class GivenRows(NamedTuple):
    """What runs find as long as `held` is referred to, and the overrides that name it."""

    held: HeldRows
    words: list[str]


def hold_rows(given: Any, target: Targets | None, has_target: bool = False) -> GivenRows:
    """Make the caller's rows available to runs.

    Args:
        given: A DataFrame; a pair (x, y) of arrays, tensors or of a DataFrame and its target; a Bunch of scikit-learn;
            or a torch Dataset, which is read once, with random streams seeded by 0.
        target: The name or the position of the target column of a DataFrame, or several.
        has_target: Whether the target is given in another way.

    Raises:
        ConfigError: They are something else, or a DataFrame has no `target`.
        DataError: The rows of a torch Dataset cannot be read.
    """
    if is_torch_dataset(given) and not hasattr(given, "columns") and not isinstance(given, torch.Tensor):
        with preserved_streams():
            seed_everything(0)
            given = read_rows(given, None)
    names = {key: getattr(given, key, None) for key in ("feature_names", "target_names")}
    if isinstance(given, WeighedArrays):
        names[WEIGHTS] = given.sample_weight
    if hasattr(given, "data") and hasattr(given, "target"):
        given = (given.data, _named_classes(given))
    if isinstance(given, tuple | list) and len(cast("Sequence[Any]", given)) == 2:
        x, y = cast("Sequence[Any]", given)
        if target is not None:
            raise ConfigError(f"target={target!r}: of a pair (x, y), y is the target", "train((x, y)) without target=")
        if not hasattr(x, "columns"):
            return _hold_arrays({"x": x, "y": y, **names})
        given, target = _join(x, y)
    return _hold_frame(given, target, has_target)


def _named_classes(bunch: Any) -> Any:
    """Return the target of a Bunch: for a DataFrame, which has no names of classes, the names in place of numbers."""
    y: Any = bunch.target
    names = getattr(bunch, "target_names", None)
    is_named = hasattr(bunch.data, "columns") and names is not None and np.asarray(y).dtype.kind in "iu"
    return np.asarray(names)[np.asarray(y)] if is_named else y


def _hold_arrays(parts: Mapping[str, Any]) -> GivenRows:
    content = {name: _as_array(part) for name, part in parts.items() if part is not None}
    held = hold(content, "arrays", _fingerprint_arrays(content))
    return GivenRows(held, ["dataset=arrays", text_override("dataset.path", held.path)])


def _hold_frame(given: Any, target: Targets | None, has_target: bool) -> GivenRows:
    if not isinstance(given, import_pandas().DataFrame):
        fix = "df.to_pandas()" if hasattr(given, "to_pandas") else _KINDS
        raise ConfigError(f"an object of type {type(given).__name__} is neither rows nor an override", fix)
    columns: list[str] = [strip_name(str(name)) for name in given.columns]
    if target is None and not has_target:
        last = columns[-1] if columns else "COLUMN"
        raise ConfigError("a DataFrame needs target=, the name of the column to predict", f"train(df, target={last!r})")
    target = strip_name(target) if isinstance(target, str) else target
    if isinstance(target, str) and target not in columns:
        near = nearest(target, columns)
        fix = f"target={near!r}" if near else f"one of {', '.join(map(repr, columns))}"
        raise ConfigError(f"target={target!r}: the DataFrame has no column {target!r}", fix)
    held = hold(given.copy(deep=False), "DataFrame", _fingerprint_frame(given))
    words = ["dataset=table", text_override("dataset.path", held.path)]
    return GivenRows(held, words if target is None else [*words, target_word(target)])


def target_word(target: Targets) -> str:
    """Return the override that names the target column, or several."""
    if isinstance(target, str):
        return text_override("dataset.target", target)
    if isinstance(target, Sequence):
        return f"dataset.target={quote_names(map(str, target))}"
    return f"dataset.target={target}"


def _join(x: Frame, y: Any) -> tuple[Frame, Targets]:
    """Return a DataFrame with the columns of both, row by row, and the names of the columns of y."""
    pd = import_pandas()
    named = y if isinstance(y, pd.DataFrame) else pd.DataFrame({getattr(y, "name", None) or _TARGET: _as_array(y)})
    if len(named) != len(x):
        raise ConfigError(f"x has {pluralize(len(x), 'row')} and y {len(named):,}", "one value of y for each row of x")
    if shared := [str(name) for name in named.columns if name in x.columns]:
        what = f"the target {', '.join(map(repr, shared))} is also a column of x"
        raise ConfigError(what, f"train(x, target={shared[0]!r}), or x without it")
    names = [*map(str, named.columns)]
    joined = pd.concat([x.reset_index(drop=True), named.reset_index(drop=True)], axis=1)
    return joined, names[0] if len(names) == 1 else names


def _as_array(part: Any) -> Any:
    """Return a tensor as an array, and everything else as NumPy does; a nested list of several lengths as it is."""
    if isinstance(part, torch.Tensor):
        plain = part.detach().cpu()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    try:
        return np.asarray(part)
    except ValueError:  # which the dataset explains
        return part


def _fingerprint_arrays(content: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, part in content.items():
        array: NDArray[Any] = np.asarray(part, dtype=None if isinstance(part, np.ndarray) else object)
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        if array.dtype == object:
            digest.update("\0".join(map(repr, array.ravel().tolist())).encode())
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _fingerprint_frame(frame: Frame) -> str:
    """Return a hash of names, types and cells, in their order, without the index."""
    pd, digest = import_pandas(), hashlib.sha256(repr(frame.shape).encode())
    for place, name in enumerate(frame.columns):
        cells = frame.iloc[:, place]
        digest.update(f"{name!r} {cells.dtype} ".encode())
        try:
            hashes = pd.util.hash_pandas_object(cells, index=False)
        except TypeError:  # cells without a hash, such as lists
            hashes = pd.util.hash_pandas_object(cells.map(repr), index=False)
        digest.update(hashes.to_numpy().tobytes())
    return digest.hexdigest()
