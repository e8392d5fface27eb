"""A folder of images: a folder for each class, or new images to predict."""

import importlib
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import text_override
from exp.data.columns.column import Floats
from exp.data.dataset import Dataset, as_dataset
from exp.data.input_files import IMAGES, find_image_folder
from exp.errors import ConfigError, DataError, as_yaml, pluralize, require_extra

# Folders with these names are splits, and no classes.
_SPLITS = {"train", "training", "val", "valid", "validation", "test"}

# Files of images that are not read.
_OTHER_IMAGES = (".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".jp2", ".heic", ".avif", ".ppm", ".pgm")


def images(path: str, size: int | Sequence[int] | None = None, color: str | bool = "auto") -> Dataset:
    """Read the PNG and JPEG files of a folder that has a folder for each class.

    The values are between 0 and 1. Images are turned as their EXIF data say, and transparency is ignored.

    Args:
        path: The folder.
        size: Height and width to which the images are resized, or one number for both; null: all have the same.
        color: Whether the images have the channels red, green and blue, or one that is grey; auto: grey if all are.

    Raises:
        DataError: The folder has no images, or images of several sizes, or one that cannot be read.
        ConfigError: Pillow is not installed.
    """
    folder = find_image_folder(path)
    found = {one.name: _list_images(one) for one in sorted(_list_folders(folder))}
    used = {name: files for name, files in found.items() if files}
    if len(used) < 2:
        if not used and _list_images(folder):  # the folder of one class
            override = text_override("dataset.path", str(folder.parent))
            what = f"dataset.path={path}: it has images, but no folder of images for each class"
            raise DataError(what, shlex.quote(override), key="dataset.path", override=override)
        what = f"it has images in {pluralize(len(used), 'folder')}" + f" ({', '.join(used)})" * bool(used)
        raise DataError(f"dataset.path={path}: {what}", "a folder with a folder of images for each class")
    if {name.lower() for name in used} <= _SPLITS:
        what = f"dataset.path={path}: its folders ({', '.join(used)}) have the names of splits, not of classes"
        to_train = next((name for name in used if name.lower().startswith("train")), next(iter(used)))
        override = text_override("dataset.path", str(folder / to_train))
        fix = f"{shlex.quote(override)}, which is then split by dataset.split"
        raise DataError(what, fix, key="dataset.path", override=override)
    files = [file for files in used.values() for file in files]
    x = read_images(files, _parse_size(size), None if color == "auto" else bool(color))
    dataset = as_dataset((x, np.repeat([*used], [len(files) for files in used.values()])))
    empty = [name for name in found if name not in used]
    notes = [f"folders without images are no classes: {', '.join(empty)}"] if empty else []
    return replace(dataset, notes=(*dataset.notes, *notes, *_describe_others(folder, files)))


def _describe_others(folder: Path, used: Sequence[Path]) -> list[str]:
    """Return a note on the images below the folder that are not read; hidden ones are left out."""
    known, suffixes = set(used), {*IMAGES, *_OTHER_IMAGES}
    found = (file for file in sorted(folder.rglob("*")) if file.suffix.lower() in suffixes and file not in known)
    others = [name for name in (file.relative_to(folder).as_posix() for file in found) if "/." not in f"/{name}"]
    if not others:
        return []
    what, kinds = pluralize(len(others), "image"), f"{', '.join(IMAGES[:-1])} and {IMAGES[-1]}"
    return [f"not read: {what} such as {others[0]}; only {kinds} files in the folder of a class are"]


def list_new_images(folder: Path) -> list[Path]:
    """Return the images in a folder and its folders, sorted. DataError if there are none."""
    files = sorted(file for one in (folder, *_list_folders(folder)) for file in _list_images(one))
    if not files:
        raise DataError(f"data={folder}: the folder has no {', '.join(IMAGES)} files", "a folder of images")
    return files


def read_images(files: Sequence[Path], size: tuple[int, int] | None, color: bool | None) -> Floats:
    """Return the images as [N, C, H, W], between 0 and 1.

    Args:
        size: Height and width to which they are resized; None: they must be of equal size.
        color: Whether they have three channels; None: if one of them has color.
    """
    with require_extra("PIL", "dataset=images", "images"):
        importlib.import_module("PIL")
    pillow: Any = importlib.import_module("PIL.Image")
    ops: Any = importlib.import_module("PIL.ImageOps")
    arrays: list[NDArray[Any]] = []  # of bytes, as in the files: as float64 they are eight times as large
    for file in files:
        try:
            with pillow.open(file) as opened:
                image = _as_grey_or_color(ops.exif_transpose(opened), color)
            if size is not None and image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), pillow.Resampling.BILINEAR, reducing_gap=3.0)
        except pillow.DecompressionBombError as error:  # it would take gigabytes, whatever dataset.size is
            raise DataError(f"{file}: the image is too large: {error}", "a smaller copy of this file") from error
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{file}: the image cannot be read: {error}", "remove this file") from error
        values = np.asarray(image)
        arrays.append(values[:, :, None] if values.ndim == 2 else values)
        if arrays[-1].shape[:2] != arrays[0].shape[:2]:
            (h, w), (other_h, other_w) = arrays[0].shape[:2], arrays[-1].shape[:2]
            what = f"images of several sizes: {files[0]} has {h} x {w} pixels, {file} has {other_h} x {other_w}"
            raise DataError(what, f"'dataset.size=[{h},{w}]', which resizes all of them", key="dataset.size")
    channels = 3 if color else max(array.shape[2] for array in arrays)
    x = np.empty((len(arrays), channels, *arrays[0].shape[:2]))
    for place, array in enumerate(arrays):  # a grey image has the same values in each channel
        largest = 255 if array.dtype == np.uint8 else 65535
        x[place] = array.transpose(2, 0, 1).astype(np.float64) / largest
    return x


def _as_grey_or_color(image: Any, color: bool | None) -> Any:
    """Return the image in grey, of 8 or 16 bits, or in red, green and blue; None: as it is."""
    # Grey images of 16 bits have the modes I and I;16. Pillow cannot reduce I;16.
    if image.mode.startswith("I"):
        return image.convert("I")
    is_grey = image.mode in ("1", "L", "LA") if color is None else not color
    return image.convert("L" if is_grey else "RGB")


def _list_folders(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]


def _list_images(folder: Path) -> list[Path]:
    files = (file for file in folder.iterdir() if file.suffix.lower() in IMAGES and not file.name.startswith("."))
    return sorted(file for file in files if file.is_file())


def _parse_size(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """Return height and width. ConfigError if it is no such pair."""
    if size is None:
        return None
    sides = [size, size] if isinstance(size, int) else [*size]
    if len(sides) != 2 or min(sides) < 1:
        raise ConfigError(
            f"dataset.size={as_yaml(sides)}: it must be one number, or the height and the width", "dataset.size=32"
        )
    return sides[0], sides[1]
