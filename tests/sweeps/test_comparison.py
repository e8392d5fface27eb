"""The jobs of a sweep compared: the figures, and the curves that TensorBoard reads."""

import csv
import shutil
import statistics
from pathlib import Path

import forking
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from exp.reports import comparison_figures
from exp.reports import mean_curves as curves
from exp.reports.comparison import compare


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    line = "-m dataset=moons batching=full,minibatch seed=1,2 epochs=4 figures=false sweep.workers=0"
    assert forking.run("exp", [*line.split(), "hydra.sweep.dir=sweep"], folder).returncode == 0
    return folder / "sweep"


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), {"scalars": 0, "images": 0, "tensors": 0}).Reload()


def test_seeds_have_a_mean_and_a_band_in_tensorboard(sweep: Path):
    jobs = {"batching=full": ["0", "1"], "batching=minibatch": ["2", "3"]}
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


@pytest.mark.slow
def test_jobs_without_validation_rows_are_compared_without_curves(exp, tmp_path: Path):
    line = "-m dataset=moons folds=2 model=mlp,linear dataset.split=[1,0,0] epochs=1 sweep.workers=0 hydra.sweep.dir=sw"
    done = exp(*line.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert "could not be compared" not in done.stdout
    assert [path.name for path in (tmp_path / "sw/figures").iterdir()] == ["decision_surfaces.png"]


def test_folds_have_bands_of_their_own(sweep: Path, tmp_path: Path):
    for job in "01":
        shutil.copytree(sweep / job, tmp_path / job)
    (tmp_path / "seeds/all").mkdir(parents=True)
    compare(tmp_path, {"all": ["0", "1"]}, "folds", has_figures=True)
    assert not (tmp_path / "seeds").exists()
    events = read(tmp_path / "folds/all")
    (record,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(record.tensor_proto.string_val[0])
    assert layout.category[0].title == "mean of the folds +- std"


def test_each_choice_has_its_own_curve_whatever_its_name_is(sweep: Path, tmp_path: Path):
    """Values with marks that no file name has, which may then be equal, and long ones, such as paths and lists."""
    for job in "0123":
        shutil.copytree(sweep / job, tmp_path / job)
    long = f"hidden=[{','.join(['8'] * 200)}]"
    compare(tmp_path, {"path=/b": ["0", "1"], "path=$^$b": ["2", "3"], long: ["0", "2"]}, "seeds", has_figures=False)
    folders = sorted((tmp_path / "seeds").iterdir())
    assert len(folders) == 3
    last = {tuple(point.value for point in read(folder).Scalars("loss/val")) for folder in folders}
    assert len(last) == 3
    assert {folder.name.partition("=")[0] for folder in folders} == {"path", "hidden"}


def test_the_modes_are_compared_in_figures(tmp_path: Path):
    line = "-m dataset=moons batching=full,minibatch epochs=2 figures=true sweep.workers=0 hydra.sweep.dir=sweep"
    done = forking.run("exp", line.split(), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = tmp_path / "sweep"
    names = {f"loss_against_{axis}" for axis in ("epochs", "updates", "samples", "seconds")} | {"decision_surfaces"}
    assert {path.stem for path in (sweep / "figures").glob("*.png")} == names
    for path in (sweep / "figures").glob("*.png"):
        with Image.open(path) as picture:
            assert len(picture.convert("RGB").resize((60, 40)).getcolors(2400)) > 20
    assert set(read(sweep / "comparison").Tags()["images"]) == {f"figures/{name}" for name in names}


def test_a_sweep_over_many_values_and_one_with_figures_false_draw_no_figures(exp, tmp_path: Path):
    line = "-m dataset=xor optimizer.lr=0.1,0.2 seed=1,2 epochs=2 figures=false sweep.workers=0 hydra.sweep.dir=sweep"
    done = exp(*line.split())
    assert done.returncode == 0, done.stderr
    sweep = tmp_path / "sweep"
    assert not (sweep / "figures").exists()
    assert len([*(sweep / "seeds").iterdir()]) == 2, "the means are no figures"
    compare(sweep, {str(number): ["0"] for number in range(9)}, "seeds", has_figures=True)
    assert not (sweep / "figures").exists()
    compare(sweep, {str(number): ["0"] for number in range(2)}, "seeds", has_figures=True)
    assert (sweep / "figures/loss_against_epochs.png").exists()


def test_a_line_shows_the_means_of_its_jobs(sweep: Path):
    of_jobs = {"full": curves.mean_curves([sweep / job for job in "01"])}
    wrote = [list(csv.DictReader((sweep / job / "metrics.csv").read_text().splitlines())) for job in "01"]
    for column, axis in comparison_figures.AXES.items():
        chart = comparison_figures.against(of_jobs, column, axis).axes[0]
        points = zip(*([row for row in rows if row["split"] == "val"] for rows in wrote), strict=True)
        expected = [
            [statistics.fmean(float(row[name]) for row in rows) for name in (column, "loss")] for rows in points
        ]
        assert chart.lines[0].get_xydata() == pytest.approx(np.array(expected))
        assert (chart.lines[0].get_label(), chart.get_xlabel()) == ("full", axis)


def test_a_mean_is_over_the_same_steps(sweep: Path, tmp_path: Path):
    """If one job lost a row of its table, that step is left out of the mean."""
    for job in "01":
        shutil.copytree(sweep / job, tmp_path / job)
    lines = (tmp_path / "1/metrics.csv").read_text().splitlines(keepends=True)
    lost = next(line for line in lines if ",val," in line and not line.startswith("0,"))
    (tmp_path / "1/metrics.csv").write_text("".join(line for line in lines if line != lost))
    whole, part = (curves.mean_curves([folder / job for job in "01"])[0] for folder in (sweep, tmp_path))
    kept = [index for index, step in enumerate(whole["step"]) if step != float(lost.partition(",")[0])]
    assert {name: values[kept].tolist() for name, values in whole.items() if name != "seconds"} == {
        name: values.tolist() for name, values in part.items() if name != "seconds"
    }


def test_folds_whose_epochs_differ_by_a_step_are_averaged_by_epoch(tmp_path: Path):
    """340 and 341 rows in batches of 10 are 34 and 35 steps."""
    for job, steps, loss in (("0", 34, 0.5), ("1", 35, 0.25)):
        (tmp_path / job).mkdir()
        lines = [f"{epoch * steps},{epoch},{epoch * 340},1.0,val,{loss / epoch}" for epoch in (1, 2, 3)]
        (tmp_path / job / "metrics.csv").write_text("\n".join(["step,epoch,samples,seconds,split,loss", *lines, ""]))
    mean, deviation = curves.mean_curves([tmp_path / job for job in "01"])
    assert mean["epoch"].tolist() == [1, 2, 3]
    assert mean["step"].tolist() == [34.5, 69, 103.5]
    assert mean["loss"] == pytest.approx(np.array([0.375, 0.375 / 2, 0.125]))
    assert deviation["loss"] == pytest.approx(np.array([statistics.stdev([0.5, 0.25]) / epoch for epoch in (1, 2, 3)]))


def test_a_metric_that_a_job_does_not_define_has_no_mean_and_an_infinite_one_no_deviation(tmp_path: Path):
    for job, names, values in (("0", "loss,auc,rmse", "0.5,0.75,inf"), ("1", "loss,rmse", "0.25,2.0")):
        (tmp_path / job).mkdir()
        text = f"step,epoch,samples,seconds,split,{names}\n0,0.0,0,1.0,val,{values}\n"
        (tmp_path / job / "metrics.csv").write_text(text)
    for order in ("01", "10"):
        mean, deviation = curves.mean_curves([tmp_path / job for job in order])
        assert {"step", "epoch", "samples", "seconds", "loss", "rmse"} == set(mean)
        assert (mean["loss"].tolist(), mean["rmse"].tolist()) == ([0.375], [np.inf])
        assert np.isnan(deviation["rmse"]).all()


@pytest.mark.slow
def test_outdated_figures_are_removed(exp, tmp_path: Path):
    line = ["-m", "dataset=xor", "epochs=2"]
    rates = [f"{number / 100}" for number in range(1, 11)]
    assert exp(*line, f"optimizer.lr={','.join(rates[:2])}", "hydra.sweep.dir=sweep").returncode == 0
    assert (tmp_path / "sweep/figures").exists()
    assert exp(*line, f"optimizer.lr={','.join(rates)}", "figures=false", "sweep.resume=sweep").returncode == 0
    assert not (tmp_path / "sweep/figures").exists()
