"""Folders of images. The references are the arrays they were written from, and Pillow."""

import os
import shlex
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import images_of_digits
from PIL import Image
from sklearn.datasets import load_digits

from exp.api import Result
from exp.data.files import arrays
from exp.data.images import images, read_images
from exp.data.input_files import check_input_files
from exp.errors import ConfigError, DataError
from exp.evaluate import evaluate
from exp.predict import predict
from exp.results.trained_model import load_trained

Exp = Callable[..., subprocess.CompletedProcess[str]]


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def colors(folder: Path, rows: int = 6) -> np.ndarray:
    """Write images of 4 x 5 pixels in the folders cat and dog, and return them [N, 4, 5, 3]."""
    values = np.random.default_rng(0).integers(0, 256, size=(rows, 4, 5, 3), dtype=np.uint8)
    for number, one in enumerate(values):
        write(folder / ("cat" if number < rows // 2 else "dog") / f"{number}.png", one)
    return values


def test_a_folder_of_digits_is_the_array_of_digits(tmp_path: Path):
    images_of_digits(tmp_path / "digits", 60)
    (tmp_path / "digits/empty").mkdir()
    (tmp_path / "digits/3/notes.txt").write_text("no image")
    (tmp_path / "digits/3/.hidden.png").write_text("no image")
    dataset = images(str(tmp_path / "digits"))
    digits = load_digits()
    order = np.argsort(digits.target[:60], kind="stable")
    expected = (digits.images[:60] * 15.9).astype(np.uint8)[order] / 255
    assert dataset.shape == (1, 8, 8)
    np.testing.assert_array_equal(dataset.x.reshape(60, 8, 8), expected)
    np.testing.assert_array_equal(dataset.y, digits.target[:60][order])
    assert dataset.classes == tuple("0123456789")
    assert dataset.notes == ("folders without images are no classes: empty",)


def test_color_has_three_channels_and_may_be_made_grey(tmp_path: Path):
    values = colors(tmp_path)
    dataset = images(str(tmp_path))
    assert dataset.shape == (3, 4, 5)
    np.testing.assert_array_equal(dataset.x.reshape(6, 3, 4, 5), values.transpose(0, 3, 1, 2) / 255)
    grey = images(str(tmp_path), color=False)
    expected = np.stack([np.asarray(Image.fromarray(one).convert("L")) for one in values]) / 255
    np.testing.assert_array_equal(grey.x.reshape(6, 4, 5), expected)
    assert images(str(tmp_path), color=True).fingerprint == dataset.fingerprint


def test_one_image_in_color_makes_all_of_them_so(tmp_path: Path):
    values = colors(tmp_path)
    write(tmp_path / "cat/0.png", values[0, :, :, 0])
    dataset = images(str(tmp_path))
    np.testing.assert_array_equal(dataset.x[0].reshape(3, 4, 5), np.stack([values[0, :, :, 0]] * 3) / 255)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "I;16"])
def test_the_modes_of_a_png_file_are_read(mode: str, tmp_path: Path):
    grey = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert("RGB" if mode == "P" else "L").convert(mode)
    image.save(tmp_path / "a.png")
    for color in (False, True):
        x = read_images([tmp_path / "a.png"], None, color)
        np.testing.assert_allclose(x, np.repeat(grey[None, None], 3 if color else 1, axis=1) / 255)


def test_a_large_grey_image_of_16_bits_is_resized(tmp_path: Path):
    rows = np.linspace(0, 1, 512)
    write(tmp_path / "a.png", (60_000 * rows[:, None] * rows[None]).astype(np.uint16))
    x = read_images([tmp_path / "a.png"], (32, 32), None)
    # A linear filter keeps the product of two lines, except near the border and for rounding.
    centres = rows.reshape(32, 16).mean(axis=1)[1:-1]
    expected = 60_000 / 65_535 * centres[:, None] * centres[None]
    np.testing.assert_allclose(x[0, 0, 1:-1, 1:-1], expected, atol=2e-3)


def test_jpeg_images_are_turned_as_their_exif_data_say(tmp_path: Path):
    image = Image.fromarray(np.full((4, 6), 200, dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_images([tmp_path / "a.jpg"], None, None).shape == (1, 1, 6, 4)


def test_images_of_several_sizes_are_refused_or_resized(tmp_path: Path):
    values = colors(tmp_path)
    write(tmp_path / "dog/9.png", values[0][:3])
    with pytest.raises(DataError, match=r"several sizes: .*0.png has 4 x 5 pixels, .*9.png has 3 x 5") as raised:
        images(str(tmp_path))
    assert raised.value.fix == "'dataset.size=[4,5]', which resizes all of them"
    dataset = images(str(tmp_path), size=[4, 5])
    assert dataset.shape == (3, 4, 5)
    expected = Image.fromarray(values[0][:3]).resize((5, 4), Image.Resampling.BILINEAR, reducing_gap=3.0)
    np.testing.assert_array_equal(dataset.x[-1].reshape(3, 4, 5), np.asarray(expected).transpose(2, 0, 1) / 255)
    assert images(str(tmp_path), size=2).shape == (3, 2, 2)


def rename(folder: Path, names: dict[str, str]) -> None:
    colors(folder)
    for old, new in names.items():
        (folder / old).rename(folder / new)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: colors(folder / "train"), "it has images in 0 folders"),
        (lambda folder: rename(folder, {"dog": ".dog"}), r"in 1 folder \(cat\)"),
        (lambda folder: rename(folder, {"cat": "train", "dog": "Test"}), r"\(Test, train\) have the names of splits"),
        (lambda folder: [colors(folder), (folder / "cat/x.png").write_text("no")], r"x\.png: the image cannot be read"),
        pytest.param(
            lambda folder: [colors(folder), Image.new("1", (20_000, 10_000)).save(folder / "cat/x.png")],
            r"x\.png: the image is too large: .*200000000 pixels(.|\n)*try: a smaller copy of this file",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_folders_that_hold_no_classes_are_refused(make: Callable[[Path], object], message: str, tmp_path: Path):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        images(str(tmp_path))


@pytest.mark.parametrize(
    ("names", "first"),
    [(("test", "train"), "train"), (("Test", "Training"), "Training"), (("test", "val"), "test")],
)
def test_a_folder_of_splits_is_refused_with_the_one_to_train_on(names: tuple[str, str], first: str, tmp_path: Path):
    folder = tmp_path / "my images"
    rename(folder, dict(zip(("cat", "dog"), names, strict=True)))
    with pytest.raises(DataError, match="have the names of splits") as raised:
        images(str(folder))
    override = f"dataset.path={folder / first}"
    assert raised.value.override == override
    assert raised.value.fix == f"{shlex.quote(override)}, which is then split by dataset.split"


def test_the_folder_of_one_class_is_refused_with_the_folder_around_it(tmp_path: Path):
    colors(tmp_path)
    with pytest.raises(DataError, match="it has images, but no folder of images for each class") as raised:
        images(str(tmp_path / "dog"))
    assert raised.value.override == f"dataset.path={tmp_path}"


def test_a_path_that_is_no_folder_is_refused_before_anything_is_written(tmp_path: Path):
    (tmp_path / "a.png").touch()
    for name, message in (("a.png", "it is a file"), ("b", "folder not found")):
        with pytest.raises(DataError, match=message) as raised:
            check_input_files({"_target_": "exp.data.images.images", "path": str(tmp_path / name)})
        assert raised.value.key == "dataset.path"


def test_a_missing_pillow_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    colors(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "PIL"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match=r"dataset=images: it needs PIL.*\n.*pip install.*\[images\]"):
        images(str(tmp_path))


def test_a_run_predicts_and_evaluates_new_images(exp: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    images_of_digits(tmp_path / "digits", 120)
    done = exp("dataset=images", "dataset.path=digits", "epochs=3", "threads=1", "figures=false", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert "images: 120 x 1 x 8 x 8, 10 classes" in done.stdout
    predict("run", "digits", "out.csv")
    predicted = pd.read_csv("out.csv", dtype={"prediction": str})
    assert predicted["file"].tolist() == sorted(
        os.path.join(one.parent.name, one.name) for one in Path("digits").rglob("*.png")
    )
    metrics = evaluate("run", data="digits").metrics
    truth = predicted["file"].str.partition(os.sep)[0]
    assert metrics["accuracy"] == pytest.approx((truth == predicted["prediction"]).mean())

    (tmp_path / "digits/.thumbnails").mkdir()
    (tmp_path / "digits/.thumbnails/0.png").write_text("no image")
    predict("run", "digits", "again.csv")
    assert Path("again.csv").read_text() == Path("out.csv").read_text()
    Path("flat").mkdir()
    Path("flat/one.png").write_bytes(next(Path("digits/7").glob("*.png")).read_bytes())
    predict("run", "flat", "flat.csv")
    assert pd.read_csv("flat.csv")["file"].tolist() == ["one.png"]
    with pytest.raises(DataError, match="the folder has no"):
        predict("run", "run", "none.csv")


def test_a_run_on_arrays_predicts_and_evaluates_new_arrays(exp: Exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    digits = load_digits()
    np.savez("digits.npz", x=digits.images[:200, None], y=digits.target[:200])
    np.save("x.npy", digits.images[:50, None])
    np.save("other.npy", digits.images[:50])
    words = ("dataset=arrays", "dataset.path=digits.npz", "model=cnn", "epochs=3", "threads=1", "figures=false")
    assert exp(*words, "dataset.split=null", "early_stopping.patience=null", "hydra.run.dir=run").returncode == 0
    predict("run", "x.npy", "out.csv")
    assert len(pd.read_csv("out.csv")) == 50
    assert evaluate("run", data="digits.npz").metrics["accuracy"] == evaluate("run").metrics["accuracy"]
    trained = load_trained(Path("run"))
    result = Result(Path("run"))
    images = np.load("x.npy")
    expected = trained.predict(images.reshape(50, 64))["prediction"]
    np.testing.assert_array_equal(result.predict(images)["prediction"], expected)
    with pytest.raises(ConfigError, match=r"rows must have the shape \[N, 1, 8, 8\], got \[50, 8, 8\]"):
        result.predict(images[:, 0])
    with pytest.raises(DataError, match=r"its rows have shape \[8, 8\], and those of the run \[1, 8, 8\]"):
        predict("run", "other.npy", "other.csv")


def test_several_inputs_are_refused_with_what_to_do(tmp_path: Path):
    np.savez(tmp_path / "two.npz", a=np.zeros((5, 2)), b=np.zeros((5, 3)), y=np.arange(5.0))
    with pytest.raises(DataError, match="a model has one input x, and the file holds a, b") as raised:
        arrays(str(tmp_path / "two.npz"))
    assert raised.value.fix.startswith("x = numpy.concatenate([a, b], axis=1)")


def test_files_that_are_not_read_are_told(tmp_path: Path):
    colors(tmp_path)
    for name in (".hidden/x.png", "cat/.x.png", "cat/a.webp", "cat/inner/b.png", "loose.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    told = "not read: 3 images such as cat/a.webp; only .png, .jpg and .jpeg files in the folder of a class are"
    assert images(str(tmp_path)).notes == (told,)


def test_images_are_read_into_one_array(tmp_path: Path):
    """Not into one for each image, all of them together, and then in another order: three times the memory."""
    values = np.random.default_rng(0).integers(0, 256, size=(30, 60, 50, 3), dtype=np.uint8)
    files = [tmp_path / f"{number}.png" for number in range(len(values))]
    for file, one in zip(files, values, strict=True):
        write(file, one)
    read_images(files, None, None)  # imports Pillow
    tracemalloc.start()
    x = read_images(files, None, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(x, values.transpose(0, 3, 1, 2) / 255)
    assert peak < 1.5 * x.nbytes
