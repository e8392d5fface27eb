"""The jobs of a sweep beside each other, in pictures and in TensorBoard's own reader."""

import csv
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:

    folder = tmp_path_factory.mktemp("compared")
    line = "-m dataset=moons batching=full,minibatch seed=1,2,3 epochs=4 hydra.sweep.dir=sweep sweep.workers=2"
    subprocess.run([sys.executable, "-m", "exp", *line.split()], cwd=folder, check=True, capture_output=True)
    return folder / "sweep"


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), {"scalars": 0, "images": 0, "tensors": 0}).Reload()


def test_seeds_have_a_mean_and_a_band_in_tensorboard(sweep: Path):
    jobs = {"batching=full": ["0", "1", "2"], "batching=minibatch": ["3", "4", "5"]}
    assert {path.name for path in (sweep / "seeds").iterdir()} == set(jobs)
    for name, numbers in jobs.items():
        curves = []
        for number in numbers:
            with (sweep / number / "metrics.csv").open() as file:
                rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
            curves.append([(int(row["step"]), float(row["loss"])) for row in rows])
        events = read(sweep / "seeds" / name)
        tags = ("loss/val", "band/loss/val - std", "band/loss/val + std")
        mean, lower, upper = ([(point.step, point.value) for point in events.Scalars(tag)] for tag in tags)
        for index, points in enumerate(zip(*curves, strict=True)):
            (step,) = {step for step, _ in points}
            values = [loss for _, loss in points]
            middle, width = statistics.fmean(values), statistics.stdev(values)
            expected = [(step, middle), (step, middle - width), (step, middle + width)]
            assert [mean[index], lower[index], upper[index]] == [
                (step, pytest.approx(value, rel=1e-6)) for step, value in expected
            ]
        (record,) = events.Tensors("custom_scalars__config__")
        layout = layout_pb2.Layout.FromString(record.tensor_proto.string_val[0])
        assert [chart.title for chart in layout.category[0].chart] == ["loss/val", "accuracy/val"]
        series = layout.category[0].chart[0].margin.series[0]
        assert (series.value, series.lower, series.upper) == tags


def test_the_modes_are_compared_in_pictures(sweep: Path):
    names = {f"loss_against_{axis}" for axis in ("epochs", "updates", "samples", "seconds")} | {"decision_surfaces"}
    assert {path.stem for path in (sweep / "figures").glob("*.png")} == names
    for path in (sweep / "figures").glob("*.png"):
        with Image.open(path) as picture:
            assert len(picture.convert("RGB").resize((60, 40)).getcolors(2400)) > 20
    assert set(read(sweep / "comparison").Tags()["images"]) == {f"figures/{name}" for name in names}


def test_a_sweep_over_many_values_draws_no_tangle(exp, tmp_path: Path):
    rates = ",".join(str(number / 100) for number in range(1, 11))
    done = exp("-m", "dataset=xor", f"optimizer.lr={rates}", "epochs=2", "figures=false", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "sweep/figures").exists()
    assert not (tmp_path / "sweep/seeds").exists()
