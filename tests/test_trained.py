"""Use of a trained model: predictions, evaluations, and exports as a plain script, as pt2 and as ONNX."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import config_of, list_evaluations, one_in
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from exp.config.schema import CONF
from exp.export import export
from exp.reports.plain_script import needs_rows, write_script
from exp.reports.script_files import write_rows
from exp.reports.script_objects import has_torch_layers
from exp.results.trained_model import load_trained
from exp.training.build import build
from exp.training.loop import Training

PRESETS = {
    "experiment=cancer_raw": ["epochs=1"],
    "experiment=distance": ["epochs=1"],
    "experiment=noisy_xor": ["epochs=2"],
    "experiment=signal_background": ["batching=online"],
    "experiment=xor_mse": ["epochs=30"],
    "experiment=xor_softmax": ["epochs=30"],
    "experiment=realmlp_s": ["dataset=iris", "epochs=6"],
    "experiment=realmlp": ["dataset=diabetes", "epochs=6"],
    "experiment=tabm": ["dataset=iris", "epochs=6"],
}
LINES = [
    *([preset, *more] for preset, more in PRESETS.items()),
    ["dataset=iris", "optimizer=adam", "model.hidden=[8,8]", "model.dropout=0.3", "epochs=4"],
    ["dataset=iris", "dataset.stratify=true", "epochs=3"],
    ["dataset=wine", "model.embedding=piecewise", "epochs=3"],
    [*"dataset=table dataset.path=words.csv dataset.target=y dataset.encode=auto model.hidden=[8] epochs=3".split()],
    [*"dataset=wine ema=0.9 model.norm=batch early_stopping.restore_best=true optimizer.lr=0.3 epochs=4".split()],
    ["dataset=wine", "model.norm=layer", "model.hidden=[8,8]", "epochs=3"],
    ["dataset=wine", "model.norm=batch", "model.residual=true", "model.hidden=[8,8]", "epochs=3"],
    ["dataset=wine", "model.embedding=periodic", "loss=cross_entropy", "epochs=3"],
    ["dataset=moons", "model=tabm", "model.kind=full", "model.k=3", "loss=bce_with_logits", "epochs=2"],
    [*"dataset=diabetes model=tabm model.k=2 optimizer=adam ema=0.9 dataset.scale_target=true epochs=2".split()],
    [*"dataset=wine model=tabm model.k=1 optimizer=lbfgs batching=full loss.class_weights=balanced epochs=2".split()],
    ["dataset=iris", "dataset.split=[.8,0,.2]", "early_stopping.restore_best=true", "epochs=3"],
    ["dataset=cancer", "dataset.train_on_val=true", "loss.class_weights=balanced", "scheduler=cosine", "epochs=3"],
    ["dataset=diabetes", "dataset.train_on_val=true", "dataset.scale_target=true", "batching=full", "epochs=3"],
    ["dataset=moons", "loss=bce_with_logits", "scheduler=cosine", "epochs=4"],
    ["dataset=moons", "loss=bce", "model.output_activation=sigmoid", "scheduler=plateau", "epochs=4"],
    ["dataset=moons", "scheduler=one_cycle", "optimizer=adam", "optimizer.lr_factors={bias: 0.3}", "epochs=2"],
    ["dataset=moons", "scheduler=warmup", "scheduler.every=step", "clip_grad_norm=0.5", "epochs=2"],
    ["dataset=wine", "optimizer=lbfgs", "batching=full", "epochs=3"],
    ["dataset=moons", "early_stopping.patience=2", "optimizer.lr=2", "epochs=30"],
    ["dataset=moons", "eval_every=25", "optimizer.momentum=0.9", "optimizer.nesterov=true", "epochs=2"],
    ["dataset=digits", "model=linear", "batching=full", "batching.shuffle=true", "eval_every=2epochs", "epochs=5"],
    ["dataset=diabetes", "batching.batch_size=50", "batching.drop_last=true", "epochs=3"],
    ["dataset=diabetes", "dataset.scale_target=true", "epochs=3"],
    ["dataset=diabetes", "dataset.scale_target=log", "loss=huber", "epochs=3"],
    [*"dataset=diabetes dataset._target_=sklearn.datasets.load_linnerud dataset.scale_target=true epochs=3".split()],
    [*"dataset=diabetes dataset._target_=sklearn.datasets.load_linnerud dataset.scale_target=log epochs=3".split()],
    ["dataset=arrays", "dataset.path=rows.npz", "epochs=3"],
    ["dataset=arrays", "dataset.path=rows.npz", "optimizer.lr=0.5", "early_stopping.patience=3", "epochs=60"],
    ["dataset=moons", "eval_every=25", "early_stopping.restore_best=true", "optimizer.lr=3", "epochs=3"],
    [*"dataset=moons metric=accuracy early_stopping.restore_best=true early_stopping.patience=3 epochs=20".split()],
    [*"dataset=moons metric=accuracy scheduler=plateau scheduler.patience=1 eval_every=1epoch epochs=9".split()],
    [*"dataset=diabetes metric=rmse early_stopping.restore_best=true dataset.scale_target=true epochs=9".split()],
    ["dataset=cancer", "loss.class_weights=balanced", "epochs=3"],
    ["dataset=moons", "loss=bce_with_logits", "loss.class_weights={1: 3.7}", "clip_grad_norm=0.5", "epochs=2"],
    ["dataset=moons", "loss=mse", "loss.class_weights=balanced", "optimizer=lbfgs", "batching=full", "epochs=2"],
    ["dataset=moons", "loss=bce_with_logits", "+loss.pos_weight=3.7", "epochs=2"],
    ["dataset=iris", "+loss.weight=[1,2,0.3]", "loss.label_smoothing=0.1", "epochs=2"],
    *(
        ["dataset=arrays", f"dataset.path={rows}.npz", "dataset.weight=w", "engine=replay", *more, "epochs=4"]
        for rows, *more in (
            ("rows", "clip_grad_norm=0.5", "batching.batch_size=7"),
            ("rows", "dataset.scale_target=log", "loss=huber", "batching=full"),
            ("targets", "early_stopping.restore_best=true"),
            ("classes", "loss=cross_entropy", "loss.class_weights=balanced", "loss.label_smoothing=0.1"),
            ("classes", "loss=bce_with_logits", "batching.batch_size=7"),
            ("classes", "model=tabm", "model.k=3", "loss=bce_with_logits", "batching.batch_size=7"),
            ("targets", "model=tabm", "model.k=3", "model.kind=full"),
            ("classes", "loss=bce_with_logits", "loss.class_weights={1: 3.7}"),
            ("classes", "loss=bce", "model.output_activation=sigmoid", "optimizer=lbfgs", "batching=full"),
        )
    ),
]


def printed(script: str, folder: Path) -> list[list[str]]:
    (folder / "script.py").write_text(script)
    done = forking.run("script", [], folder)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("line", one_in(4, LINES), ids=" ".join)
def test_an_exported_script_has_the_runs_losses(line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Bit for bit, in this process; test_the_exported_script_of_the_command_has_the_runs_losses runs it in another."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(80, 2))
    y, w = 1e6 + 1e4 * x.sum(1), np.random.default_rng(1).exponential(size=80)
    np.savez("rows.npz", x=x, y=y, w=w)
    np.savez("targets.npz", x=x, y=np.stack([y, x[:, 0]], axis=1), w=w)
    np.savez("classes.npz", x=x, y=(x.sum(1) > 0.5).astype(int), w=w)
    Path("words.csv").write_text("city,y\n" + "".join(f"town {number % 17},{number % 3}\n" for number in range(80)))
    config = config_of(*line, "threads=1")
    experiment = build(config)
    script = write_script(experiment, threads=1, rows="script.npz")
    if needs_rows(config):
        write_rows(experiment, Path("script.npz"))
    events = list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
    evaluated = list_evaluations(events)
    ours = [
        (event.split, event.at.step, event.metrics) for event in evaluated if event.split != "val" or not event.restored
    ]
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(script, "script.py", "exec"), {"__name__": "__main__", "__file__": "script.py"})
    theirs = [row.split() for row in stream.getvalue().splitlines()]
    finals = {"train": ours[-2], "test": ours[-1]}
    assert [(split, int(step), float(loss)) for split, step, loss, _ in theirs[:-3]] == [
        (split, step, metrics.loss) for split, step, metrics in ours if split == "val"
    ]
    for split, step, loss, other in theirs[-3:]:
        if split in finals:
            metrics = finals[split][2].values()
            assert (int(step), float(loss)) == (finals[split][1], metrics["loss"])
            assert float(other) == pytest.approx(metrics.get("accuracy", metrics.get("rmse")), rel=1e-6)
    assert not re.search(r"(?<!\.)\bexp\b", script)
    assert len(script.splitlines()) <= (80 if has_torch_layers(experiment) else 420)
    assert max(map(len, script.splitlines())) <= (130 if has_torch_layers(experiment) else 220)


def test_the_rows_of_a_script_have_the_names_of_their_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{n % 7}.5,{'north' if n % 2 else 'south'},{'yes' if n % 3 else 'no'},{n % 5}.25" for n in range(60)]
    Path("t.csv").write_text("size,side,sold,price\n" + "\n".join(lines) + "\n")
    for target, others, name, means in (
        ("sold", ["size", "price"], "classes", ["no", "yes"]),
        ("price", ["size"], "targets", ["price"]),
    ):
        drop = "dataset.drop=[sold]" if target == "price" else "dataset.drop=[]"
        words = ("dataset=table", "dataset.path=t.csv", f"dataset.target={target}", drop, "threads=1")
        write_rows(build(config_of(*words)), Path(f"{target}.npz"))
        with np.load(f"{target}.npz") as rows:  # without pickle
            assert rows[name].tolist() == means
            places = {feature: place for place, feature in enumerate(rows["features"].tolist())}
            assert set(places) == {*others, "side=north", "side=south"}
            sides = rows["train_x"][:, [places["side=north"], places["side=south"]]]
            assert (sides.sum(1) == 1).all()
            assert len(places) == rows["train_x"].shape[1]


def test_every_preset_is_exported():
    assert {path.stem for path in (CONF / "experiment").glob("*.yaml")} == {
        preset.partition("=")[2] for preset in PRESETS
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: one of a table with text and empty cells, one of the bundled cancer rows."""
    made = tmp_path_factory.mktemp("trained")
    cancer = load_breast_cancer(as_frame=True)
    frame = cancer.data.assign(
        ward=np.where(cancer.data["mean area"] > 600, "north", "south"), diagnosis=cancer.target_names[cancer.target]
    )
    frame.loc[[5, 9], "mean texture"] = np.nan
    frame.to_csv(made / "cancer.csv", index=False)
    table = "dataset=table dataset.path=cancer.csv dataset.target=diagnosis dataset.missing=median model=mlp"
    for arguments in (f"{table} hydra.run.dir=table", "dataset=cancer hydra.run.dir=cancer"):
        done = forking.run("exp", [*arguments.split(), "epochs=3", "figures=false", "threads=1"], made)
        assert done.returncode == 0, done.stderr
    return made


@pytest.mark.slow
def test_a_run_without_validation_rows_is_used_with_its_last_parameters(exp: Any):
    words = "dataset=iris dataset.split=[.8,0,.2] early_stopping.restore_best=true epochs=2 figures=false"
    assert exp(*words.split(), "hydra.run.dir=run").returncode == 0
    done = exp("evaluate", "run=run", "split=test")
    assert done.returncode == 0, done.stderr
    assert "checkpoint last" in done.stdout
    done = exp(*words.split(), "init=run", "hydra.run.dir=next")
    assert done.returncode == 0, done.stderr


def tool(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forking.run(f"exp.{name}", list(arguments), folder)


@pytest.mark.slow
def test_the_exported_script_of_the_command_has_the_runs_losses(folder: Path, tmp_path: Path):
    done = tool(folder, "export", "run=cancer", "format=script", f"out={tmp_path}/train.py")
    assert done.returncode == 0, done.stderr
    theirs = printed((tmp_path / "train.py").read_text(), tmp_path)
    with (folder / "cancer/metrics.csv").open() as file:
        ours = [(row["step"], float(row["loss"])) for row in csv.DictReader(file) if row["split"] == "val"]
    assert [(step, float(loss)) for _, step, loss, _ in theirs[:-3]] == ours
    summary = json.loads((folder / "cancer/summary.json").read_text())
    assert float(theirs[-1][2]) == summary["final"]["test"]["loss"]


def test_predictions_of_new_rows(folder: Path, tmp_path: Path):
    """The run's own table, its columns shuffled and without the target, gives the outputs of the model's layers."""
    frame = pd.read_csv(folder / "cancer.csv")
    new = frame.drop(columns="diagnosis").sample(frac=1, random_state=0, axis=1).assign(more=1)
    new.loc[3, "ward"] = "east"
    new.loc[4, "ward"] = np.nan
    far = new.iloc[[0]].assign(**{"mean area": 1e60})
    pd.concat([new, far]).to_csv(tmp_path / "new.csv", index=False)
    out = tmp_path / "predictions.csv"
    done = tool(folder, "predict", "run=table", f"data={tmp_path}/new.csv", f"out={out}")
    assert done.returncode == 0, done.stderr
    assert "categories that are not in the training rows, encoded as zeros: ward in 1 row" in done.stdout
    assert "1 row without ward: encoded as zeros" in done.stdout
    assert "1 row with a NaN or infinite prediction: too far from the training rows" in done.stdout
    assert re.search(r"2 rows without mean texture: replaced by [\d.]+", done.stdout)
    predictions = pd.read_csv(out)
    assert list(predictions) == ["prediction", "probability benign", "probability malignant"]
    assert len(predictions) == 570
    predictions = predictions[:569]
    assert np.allclose(predictions["probability benign"] + predictions["probability malignant"], 1)
    # The expected values: the scaler's formula, and the layers from the checkpoint.
    state = torch.load(folder / "table/checkpoints/last.pt", weights_only=True)["model"]
    trained = load_trained(folder / "table")
    kept = trained.preprocessing
    numbers = [column.name for column in kept.columns if column.kind == "number"]
    filled = frame[numbers].fillna({column.name: column.fill for column in kept.columns if column.kind == "number"})
    wards = np.stack([new["ward"] == word for word in kept.columns[-1].categories], axis=1)
    x = np.hstack([(filled.to_numpy() - np.array(kept.scaler.mean)) / np.array(kept.scaler.scale), wards]).astype(
        np.float32
    )
    hidden = torch.relu(torch.from_numpy(x) @ state["0.weight"].T + state["0.bias"])
    logits = hidden @ state["2.weight"].T + state["2.bias"]
    assert np.allclose(predictions["probability malignant"], logits.softmax(1)[:, 1].numpy(), atol=1e-6)
    assert list(predictions["prediction"]) == [("benign", "malignant")[label] for label in logits.argmax(1)]


def test_a_folder_of_tables_is_predicted_as_one_table(folder: Path):
    lines = (folder / "cancer.csv").read_text().splitlines(keepends=True)
    (folder / "parts").mkdir()
    for name, part in (("a.csv", lines[1:300]), ("b.csv", lines[300:])):
        (folder / "parts" / name).write_text("".join([lines[0], *part]))
    for data, out in (("parts", "parts.csv"), ("cancer.csv", "whole.csv")):
        done = tool(folder, "predict", "run=table", f"data={data}", f"out={out}")
        assert done.returncode == 0, done.stderr
    assert (folder / "parts.csv").read_text() == (folder / "whole.csv").read_text()
    assert "569 rows" in tool(folder, "evaluate", "run=table", "data=parts").stdout


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("predict run=table data=cancer.csv", "rows.csv"),
        ("export run=table format=script", "script.py"),
        ("export run=cancer format=card", "card.md"),
        pytest.param("export run=cancer format=pt2", "model.pt2", marks=pytest.mark.slow),
    ],
)
def test_an_output_that_cannot_be_written_whole_is_not_there(words: str, out: str, folder: Path):
    """Its first lines would be taken for all, and the last one may end in the middle of a number."""
    name, *arguments = words.split()
    (folder / "rows.tmp").write_text("of the user")
    process = forking.Process(f"exp.{name}", [*arguments, f"out={out}"], folder, {**os.environ}, largest_file=4096)
    _, stderr = process.communicate()
    assert process.returncode == 1
    assert stderr.startswith(f"exp {name}: out={out}: file too large")
    assert not [path for path in folder.iterdir() if path.stem.startswith(Path(out).stem) and path.suffix != ".tmp"]
    assert [path.name for path in folder.glob("*.tmp")] == ["rows.tmp"]
    assert (folder / "rows.tmp").read_text() == "of the user"


def test_many_rows_are_predicted_a_part_at_a_time(folder: Path, monkeypatch):
    """The features and hidden layers of a million rows would take gigabytes."""
    trained = load_trained(folder / "table")
    rows = np.random.default_rng(0).integers(0, 2, (250, len(trained.preprocessing.columns))).astype(np.float64)
    whole = trained.outputs(rows)
    monkeypatch.setattr("exp.training.member_models.MAX_ROWS", 100)
    sizes: list[int] = []
    trained.model.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    assert torch.allclose(trained.outputs(rows), whole, rtol=1e-5, atol=1e-6)
    assert sizes == [100, 100, 50]
    assert trained.outputs(rows[:0]).shape == (0, 2)


def test_evaluate_prints_the_final_metrics_of_the_run(folder: Path):
    for run, split in (("table", "val"), ("cancer", "test")):
        summary = json.loads((folder / run / "summary.json").read_text())
        done = tool(folder, "evaluate", f"run={run}", f"split={split}")
        assert done.returncode == 0, done.stderr
        printed_metrics = dict(line.split() for line in done.stdout.splitlines()[1:])
        assert {name: float(value) for name, value in printed_metrics.items()} == summary["final"][split]
    best = tool(folder, "evaluate", "run=cancer", "split=val", "checkpoint=best")
    summary = json.loads((folder / "cancer/summary.json").read_text())
    assert float(best.stdout.split("loss ")[1].split()[0]) == summary["best"]["val"]["loss"]


def test_a_run_that_has_not_finished_is_used_with_a_note(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "cancer", tmp_path / "cancer")
    path = tmp_path / "cancer/summary.json"
    path.write_text(path.read_text().replace('"status": "finished"', '"status": "running"'))  # as kill -9 leaves it
    printed = tool(tmp_path, "evaluate", "run=cancer").stdout
    assert "note: cancer died, not finished; to resume it: python -m exp resume=cancer\n" in printed
    assert "note:" not in tool(folder, "evaluate", "run=cancer").stdout


def test_a_damaged_checkpoint_names_the_other_one(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "cancer", tmp_path / "cancer")
    for name, fix in (
        ("last", "checkpoint=best"),
        ("best", "a new run with the overrides in cancer/.hydra/overrides.yaml"),
    ):
        path = tmp_path / f"cancer/checkpoints/{name}.pt"
        path.write_bytes(path.read_bytes()[:900])
        done = tool(tmp_path, "evaluate", "run=cancer", f"checkpoint={name}")
        assert f"{name}.pt cannot be read" in done.stderr
        assert done.stderr.endswith(f"\n  try: {fix}\n")


def test_an_evaluation_of_a_table_agrees_with_its_predictions(folder: Path, tmp_path: Path):
    frame = pd.read_csv(folder / "cancer.csv")
    frame.loc[[1, 2], "diagnosis"] = np.nan
    frame.to_csv(tmp_path / "new.csv", index=False)
    done = tool(folder, "evaluate", "run=table", f"data={tmp_path}/new.csv")
    assert done.returncode == 0, done.stderr
    assert "2 rows without diagnosis: skipped" in done.stdout
    printed_metrics = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines()[-2:])
    out = tmp_path / "told.csv"
    assert tool(folder, "predict", "run=table", f"data={tmp_path}/new.csv", f"out={out}").returncode == 0
    predicted, truth = pd.read_csv(out), frame["diagnosis"]
    there = truth.notna()
    assert float(printed_metrics["accuracy"]) == pytest.approx((predicted["prediction"] == truth)[there].mean())
    malignant = predicted["probability malignant"].where(truth == "malignant", predicted["probability benign"])
    assert float(printed_metrics["loss"]) == pytest.approx(-np.log(malignant[there]).mean(), rel=1e-4)


def _seed_0() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.slow  # tests/data/test_target_scale.py has the units of numbers, the test above the loss of classes
def test_evaluations_agree_with_metrics_computed_from_the_outputs(exp, tmp_path: Path):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"size": draw.normal(size=200), "label": draw.integers(0, 2, 200)})
    frame["price"] = 3 * frame["size"] + draw.normal(size=200)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    base = ["dataset=table", "dataset.path=rows.csv", "epochs=3", "figures=false", "dataset.scaler=none"]
    assert exp(*base, "dataset.target=price", "loss=mse", "dataset.drop=[label]", "hydra.run.dir=price").returncode == 0
    assert exp(*base, "dataset.target=label", "dataset.drop=[price]", "hydra.run.dir=label").returncode == 0
    new = frame.iloc[:50].copy()
    new["label"] = new["label"].astype(float).where(new.index != 3)  # an empty cell makes them floats
    new.to_csv(tmp_path / "new.csv", index=False)
    for run, rows in {"price": 50, "label": 49}.items():
        done = tool(tmp_path, "evaluate", f"run={run}", "data=new.csv")
        assert done.returncode == 0, done.stderr
        assert f"new.csv, {rows} rows, checkpoint best" in done.stdout
        printed_metrics = {line.split()[0]: line.split()[-1] for line in done.stdout.splitlines()}
        x = torch.tensor(new[["size"]].to_numpy(), dtype=torch.float32)
        outputs = load_trained(tmp_path / run).model(x).detach().numpy()
        if run == "price":
            scale = StandardScaler().fit(frame[["price"]].to_numpy()[torch.randperm(200, generator=_seed_0())[:120]])
            errors = scale.inverse_transform(outputs)[:, 0] - new["price"]
            assert float(printed_metrics["rmse"]) == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)
            r2 = 1 - (errors**2).sum() / ((new["price"] - new["price"].mean()) ** 2).sum()
            assert float(printed_metrics["r2"]) == pytest.approx(r2, rel=1e-5)
        else:
            right = outputs.argmax(1) == new["label"]
            assert float(printed_metrics["accuracy"]) == pytest.approx(right[new["label"].notna()].mean())


def outputs_of(trained: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows of the cancer data as the model receives them, and its outputs."""
    x = torch.tensor(trained.preprocessing.transform(load_breast_cancer().data), dtype=torch.float32)
    return x, trained.model(x).detach()


def test_pt2_gives_the_models_outputs(folder: Path, tmp_path: Path):
    x, expected = outputs_of(load_trained(folder / "cancer"))
    export(run=str(folder / "cancer"), format="pt2", out=str(tmp_path / "model.pt2"))
    assert torch.equal(torch.export.load(tmp_path / "model.pt2").module()(x), expected)


@pytest.mark.slow
def test_onnx_gives_the_models_outputs(folder: Path, tmp_path: Path):
    """tests/data/test_target_scale.py tests the ONNX file of a regression."""
    onnxruntime = pytest.importorskip("onnxruntime")
    x, expected = outputs_of(load_trained(folder / "cancer"))
    done = tool(folder, "export", "run=cancer", "format=onnx", f"out={tmp_path}/model.onnx")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("model.onnx.data" in done.stdout) == (tmp_path / "model.onnx.data").exists()
    session: Any = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (outputs,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert np.allclose(outputs, expected.numpy(), atol=1e-5)


@pytest.fixture(scope="module")
def wrong(folder: Path) -> Path:
    """The folder, with files whose columns or classes are not those of the run, and a run without its file, `gone`."""
    frame = pd.read_csv(folder / "cancer.csv")
    frame.rename(columns={"mean radius": "Mean Radius"}).to_csv(folder / "other.csv", index=False)
    frame.rename(columns={"diagnosis": "Diagnosis"}).to_csv(folder / "untold.csv", index=False)
    frame.assign(diagnosis="").to_csv(folder / "without.csv", index=False)
    frame.assign(diagnosis=frame["diagnosis"].where(frame.index > 0, "unclear")).to_csv(
        folder / "third.csv", index=False
    )
    (folder / "gone").mkdir()
    frame.to_csv(folder / "gone/data.csv", index=False)
    line = "dataset=table dataset.path=gone/data.csv dataset.target=diagnosis dataset.missing=drop epochs=1"
    assert forking.run("exp", [*line.split(), "figures=false", "hydra.run.dir=gone"], folder).returncode == 0
    os.remove(folder / "gone/data.csv")
    return folder


@pytest.mark.parametrize(
    ("name", "arguments", "message", "fix"),
    [
        ("predict", "", "run= is missing", "python -m exp predict run="),
        pytest.param(
            "predict",
            "rum=table data=cancer.csv out=x.csv",
            "rum=table: predict takes run= data= out=",
            "run=table",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "predict", "run=table data=cancer.csv", "out= is missing", "out=predictions.csv", marks=pytest.mark.slow
        ),
        pytest.param(
            "predict",
            "run=tabel data=cancer.csv out=x.csv",
            "tabel does not contain a run",
            "the folder that a run printed",
            marks=pytest.mark.slow,
        ),
        ("predict", "run=table data=cancr.csv out=x.csv", "file not found", "data=cancer.csv"),
        ("predict", "run=table data=cancer.csv out=cancer.csv", "the file already exists", "out=ANOTHER_FILE"),
        pytest.param(
            "predict",
            "run=table data=cancer.csv out=no/x.csv",
            "out=no/x.csv: no folder no",
            "mkdir -p no",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "predict",
            "run=table data=cancer.csv out=x.parquet",
            "out=x.parquet: must be a .csv file",
            "out=x.csv",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "export", "run=table format=script out=no/x.py", "no folder no", "mkdir -p no", marks=pytest.mark.slow
        ),
        pytest.param(
            "predict",
            "run=table data=cancer.csv out=x.csv checkpoint=first",
            "unknown checkpoint 'first' (available: last, best, auto)",
            "checkpoint=last",
            marks=pytest.mark.slow,
        ),
        ("predict", "run=table data=other.csv out=x.csv", "column 'mean radius' is missing", "Mean Radius"),
        pytest.param(
            "evaluate",
            "run=cancer split=tset",
            "split=tset: unknown split 'tset' (available: train, val, test)",
            "split=test",
            marks=pytest.mark.slow,
        ),
        ("evaluate", "run=table split=val data=cancer.csv", "only one of split= and data=", "data=cancer.csv"),
        pytest.param(
            "evaluate",
            "run=table data=untold.csv",
            "the target column 'diagnosis' is missing",
            "rename column 'Diag",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "evaluate",
            "run=table data=third.csv",
            "unknown class 'unclear' in the target",
            "these classes",
            marks=pytest.mark.slow,
        ),
        (
            "evaluate",
            "run=table data=without.csv",
            "data=without.csv: the target 'diagnosis' is empty in every row",
            "without one: python -m exp predict run=table data=without.csv out=predictions.csv",
        ),
        ("evaluate", "run=gone", "gone/data.csv: file not found", "dataset.path="),
        (
            "export",
            "run=cancer format=exe out=x",
            "format must be one of script, pt2, onnx, card, got exe",
            "format=script",
        ),
    ],
)
def test_wrong_arguments_are_errors_with_a_fix(wrong: Path, name: str, arguments: str, message: str, fix: str):
    done = tool(wrong, name, *arguments.split())
    assert done.returncode == 1
    assert message in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr
    assert not (wrong / "x.csv").exists()
