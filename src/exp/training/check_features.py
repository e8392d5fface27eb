"""Checks of the features of each split: finite, not constant, of similar scales, not far from the training rows."""

from collections.abc import Iterator
from typing import cast

from torch import Tensor

from exp.data.far_values import FAR, describe_far
from exp.data.splits import Split, Splits
from exp.errors import MAX_NAMES, DataError, shorten

# Root mean square of a feature at which it begins to dominate the others and to saturate the model.
_LARGE_FEATURE = 50.0

# Ratio of the largest to the smallest standard deviation of the features.
_UNEVEN_SCALE = 100.0

FAR_FIX = "dataset.scaler=robust, or leave out these rows"


def check_finite(data: Splits) -> None:
    """Raise DataError if float32 does not hold a feature or a target."""
    for name, split in data.splits.items():
        finite = split.largest.isfinite()
        if not bool(finite.all()):
            bad = _list_not_finite(data, split)
            scaler = data.preprocessing.scaler
            other = {"standard": "robust", "none": "standard"}.get("none" if scaler is None else scaler.kind)
            raise DataError(
                f"dataset: the {name} rows have NaN or infinite values, or values too far from the training rows for "
                f"float32: {bad}",
                f"{f'dataset.scaler={other}, or ' if other else ''}remove or fill them, or leave out the column",
            )
        if split.y.is_floating_point() and not bool(split.y.isfinite().all()):
            raise DataError(
                f"dataset: the {name} rows have targets too far from those of the training rows for float32",
                "remove these rows, or dataset.scale_target=false",
            )


def _list_not_finite(data: Splits, split: Split) -> str:
    """Return the features with values that are NaN or infinite in float32, each with the first one and its row.

    An infinite one may be finite in the file: float32 ends at 3.4e38.
    """
    places = cast("list[int]", (~split.largest.isfinite()).nonzero().flatten().tolist())
    listed: list[str] = []
    for place in places[:MAX_NAMES]:
        row = int((~split.x[:, place].isfinite()).nonzero()[0])
        where = f" in row {int(split.row_numbers[row]):,}" if len(split.row_numbers) else ""
        listed.append(f"{data.features[place]} is {float(split.x[row, place])}{where}")
    return shorten(listed, len(places))


def check_features(data: Splits, is_scaled: bool) -> Iterator[str]:
    """Warn of features that are constant, of very different scales, or far from the training rows."""
    mean, spread = data.train.feature_moments()
    constant = _features_where(data, spread == 0)
    if constant and len(data.train) > 1 and not data.preprocessing.shape:  # the corners of images may be
        are = "is" if len(constant) == 1 else "are"
        yield f"{shorten(constant)} {are} constant in the {len(data.train):,} training rows"
    for name in data.splits:
        if far := describe_far_values(data, name):
            yield f"{far}; predictions of such rows mean little; try: {FAR_FIX}"
    varying = spread[spread > 0]
    if is_scaled or not len(varying):
        return
    size = (mean.square() + spread.square()).sqrt()
    if float(size.max()) > _LARGE_FEATURE or float(varying.max() / varying.min()) > _UNEVEN_SCALE:
        largest, smallest = int(size.argmax()), int(size.argmin())
        yield (
            f"the features have different scales: {data.features[largest]} is about {float(size[largest]):.3g}, "
            f"{data.features[smallest]} about {float(size[smallest]):.3g}; try: dataset.scaler=standard"
        )


def describe_far_values(data: Splits, name: str) -> str:
    """Return which features of the split `name` are far from the training rows, each with its row; "" if none is.

    They are what dataset.scaler=standard, which is linear, makes of values unlike those of the training rows. The
    outputs of a model are about as large, so a loss may be infinite: its squares are, above 2e19.
    """
    split, largest = data.splits[name], data.splits[name].largest
    far = largest > FAR * data.train.largest.clamp(min=1)
    if not bool(far.any()):
        return ""
    places = cast("list[int]", far.nonzero().flatten().tolist())
    listed: list[str] = []
    for place in places[:MAX_NAMES]:
        row = int(split.x[:, place].abs().argmax())
        value = float(data.preprocessing.restore(split.x[row : row + 1].double().cpu().numpy())[0, place])
        listed.append(f"{data.features[place]} is {value:.4g} in row {int(split.row_numbers[row]):,}")
    return describe_far(f"{name} rows", listed, len(places))


def _features_where(data: Splits, mask: Tensor) -> list[str]:
    """Return the names of the features for which `mask` [F] is True."""
    return [name for name, selected in zip(data.features, cast("list[bool]", mask.tolist()), strict=True) if selected]
