"""`exp explain`: the arithmetic of one update is that of a plain PyTorch script, to the bit."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pytest
import torch
from conftest import config_of
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from exp import train
from exp.data.seeding import stream_positions
from exp.errors import ConfigError, DataError, Diverged
from exp.explain import explain
from exp.reports.step_tables import Extent, describe_update, explain_element, formula
from exp.results import metrics_csv
from exp.results.rebuilt import rebuild
from exp.training.build import build
from exp.training.explained_step import ExplainedStep, explain_step

RUNS = {
    "sgd": "optimizer=sgd optimizer.lr=0.1 clip_grad_norm=0.2 engine=replay log_every=1",
    "adam": "optimizer=adam model.dropout=0.5",
    "momentum": "optimizer.momentum=0.9 optimizer.nesterov=true optimizer.weight_decay=0.1",
    "adamw": "optimizer=adamw optimizer.lr=0.01 optimizer.weight_decay=0.1",
    "rmsprop": "optimizer=rmsprop optimizer.momentum=0.5",
}
MAKE: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.001),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, momentum=0.5),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on cancer for each optimizer, and one that begins with the parameters of the first."""
    folder = tmp_path_factory.mktemp("explain")
    base = ["dataset=cancer", "model.hidden=4", "epochs=2", "seed=3", "figures=false"]
    for name, words in {**RUNS, "started": f"{RUNS['sgd']} init={folder}/sgd"}.items():
        train(*base, *words.split(), f"hydra.run.dir={folder}/{name}")
    return folder


def plain(wanted: int, make: Callable[..., torch.optim.Optimizer], dropout: float, clip: float | None) -> Any:
    """One update of a typical script: batch, layers, loss, and the parameters, gradients and state around it."""
    x, y = load_breast_cancer(return_X_y=True)
    torch.manual_seed(3)
    rows = [part.indices for part in random_split(range(569), [341, 113, 115])]  # type: ignore[arg-type]
    x = StandardScaler().fit(x[rows[0]]).transform(x)
    train = TensorDataset(torch.tensor(x[rows[0]], dtype=torch.float32), torch.tensor(y[rows[0]]))
    torch.manual_seed(3)
    layers = [nn.Linear(30, 4), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else []), nn.Linear(4, 2)]
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    optimizer, step = make(parameters), 0
    loader = DataLoader(train, batch_size=10, shuffle=True)
    for _ in range(2):
        for xb, yb in loader:
            step += 1
            before, outputs, out = [one.detach().clone() for one in parameters], [], xb
            state_before = [state_of(optimizer, one) for one in parameters]
            for layer in layers:
                out = layer(out)
                outputs.append(out.detach().clone())
            loss = nn.functional.cross_entropy(out, yb)
            optimizer.zero_grad()
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(parameters, clip)
            optimizer.step()
            if step == wanted:
                gradients, after = [one.grad for one in parameters], [one.detach() for one in parameters]
                states = [state_before, [state_of(optimizer, one) for one in parameters]]
                return xb, yb, outputs, loss.item(), before, gradients, after, states
    raise AssertionError


def state_of(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in optimizer.state[parameter].items() if value is not None}


def same(found: list[Any], script: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(found, script, strict=True))


# An epoch has 35 steps.
STEPS = [
    *((name, 40) for name in RUNS),
    ("sgd", 1),
    *(pytest.param(name, 1, marks=pytest.mark.slow) for name in RUNS if name != "sgd"),
]


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_a_step_is_that_of_the_plain_script(place: Path, name: str, step: int):
    dropout, clip = (0.5 if name == "adam" else 0.0), (0.2 if name == "sgd" else None)
    x, y, outputs, loss, before, gradients, after, states = plain(step, MAKE[name], dropout, clip)
    found = explain_step(rebuild(place / name, {}), step)
    assert found is not None
    assert same([found.x, found.y, found.output], [x, y, outputs[-1]])
    assert same([one.output for one in found.layers], outputs)
    assert found.loss == loss
    assert same([one.before for one in found.parameters], before)
    assert same([one.gradient for one in found.parameters], gradients)
    assert same([one.after for one in found.parameters], after)
    for one, of_script_before, of_script in zip(found.parameters, *states, strict=True):
        for state, of_plain in ((one.state_before, of_script_before), (one.state_after, of_script)):
            assert state.keys() == of_plain.keys()
            assert same(list(state.values()), [of_plain[key] for key in state])
    x_of_table, y_of_table = load_breast_cancer(return_X_y=True)
    assert [y_of_table[number - 1] for number in found.row_numbers] == y.tolist()
    order = np.argsort([x_of_table[number - 1][0] for number in found.row_numbers])
    assert order.tolist() == x[:, 0].argsort().tolist()

    document = explain(str(place / name), step, rows=2).document()
    assert (document["epoch"], document["loss"], document["rows"]) == (1 if step == 1 else 2, loss, 10)
    assert document["x"] == {"shape": [10, 30], "values": x[:2, :8].tolist()}
    assert document["features"] == load_breast_cancer().feature_names[:8].tolist()
    assert document["y"]["values"] == y[:2, None].tolist()
    assert document["parameters"][0]["after"] == {"shape": [4, 30], "values": after[0][:2, :8].tolist()}
    assert document["parameters"][1]["gradient"]["values"] == [gradients[1].tolist()]
    for state in document["parameters"][1]["state"]:
        assert state["after"]["values"] == [states[1][1][state["name"]].flatten().tolist()]


@pytest.mark.parametrize("name", ["sgd", "started"])
def test_the_loss_is_the_one_that_the_run_recorded(place: Path, name: str):
    recorded = {row.step: row.metrics["loss"] for row in metrics_csv.read_rows(place / name) if row.split == "train"}
    for step in (1, 36, 70):
        found = explain_step(rebuild(place / name, {}), step)
        assert found is not None
        assert found.loss == recorded[step]


FORMULAS = [
    "optimizer.momentum=0.9",
    "optimizer.momentum=0.9 +optimizer.dampening=0.5 optimizer.weight_decay=0.1",
    "optimizer.momentum=0.9 optimizer.nesterov=true optimizer.weight_decay=0.1",
    "optimizer=adam optimizer.weight_decay=0.1",
    "optimizer=adam +optimizer.amsgrad=true",
    "optimizer=adamw optimizer.lr=0.1 optimizer.weight_decay=0.5",
    "optimizer=adamax",
    "optimizer=rmsprop optimizer.weight_decay=0.1",
    "optimizer=rmsprop optimizer.momentum=0.9 +optimizer.centered=true",
    "optimizer=adagrad optimizer.lr_decay=0.5",
    "optimizer=adadelta",
    "optimizer=adam optimizer.lr_factors={bias:10}",
]


@pytest.mark.parametrize("words", FORMULAS)
@pytest.mark.parametrize("step", [1, 4])
def test_the_formula_with_the_numbers_of_an_element_computes_its_update(words: str, step: int):
    found = explained("dataset=iris", *words.split(), step=step)
    element = explain_element(found, Extent(3, 8))
    assert element is not None
    one = next(one for one in found.parameters if one.name == element.parameter)
    results = {}
    for line in element.lines:
        name, numbers, result = line.split(" = ")
        arithmetic = numbers.replace(" x ", " * ").replace("^", "**")
        computed = eval(arithmetic, {"sqrt": math.sqrt, "max": max, "abs": abs})
        assert computed == pytest.approx(float(result), rel=1e-4, abs=2e-7), line
        results[name] = np.float32(result)
    kept = {name: value[element.index] for name, value in one.state_after.items() if value.ndim}
    assert results == {"new": one.after[element.index], **kept}
    assert str(one.gradient[element.index].numpy()) in element.lines[0]  # type: ignore[index]
    assert formula(found) == [line for line in formula(found) if not re.search(r"\d\.\d", line)]


def test_an_optimizer_without_a_formula_here_says_so():
    found = explained("dataset=iris", "optimizer=radam", step=2)
    assert describe_update(found, Extent(3, 8)) == [
        "new = old + the change that RAdam computes from the gradient and its state"
    ]
    assert explain_element(found, Extent(3, 8)) is None


def test_nothing_is_written_and_no_random_number_is_drawn(place: Path):
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in place.rglob("*")}

    before, drawn = files(), stream_positions()
    explain(str(place / "adam"), 3)
    assert (files(), stream_positions()) == (before, drawn)


def test_text_page_and_json_have_the_same_numbers(place: Path, tmp_path: Path):
    line = ["explain", str(place / "sgd"), "step=36", "out=page.html"]
    text = forking.run("exp", line, tmp_path)
    assert (text.returncode, text.stderr) == (0, "")
    page = (tmp_path / "page.html").read_text()
    found = json.loads(forking.run("exp", [*line[:-1], "--json"], tmp_path).stdout)
    for values in (found["x"]["values"], found["parameters"][2]["gradient"]["values"]):
        for row in values:
            cells = [f"{value:.6g}" for value in row]
            assert cells in [printed.split() for printed in text.stdout.splitlines()]
            assert "".join(f"<td>{cell}</td>" for cell in cells) in page
    assert text.stdout.startswith("step 36 of 70, in epoch 2: a batch of 10 rows\n")
    assert found["update"] == ["new = old - lr x gradient"]
    printed_lines = [line.strip() for line in text.stdout.splitlines()]
    assert {*found["update"], *found["element"]["lines"]} <= set(printed_lines)
    names = [name for name in found["features"] if name in text.stdout and f"<th>{name}" in page.replace("<wbr>", "")]
    assert len(names) == 8
    assert "the gradients are after clip_grad_norm=0.2" in text.stdout
    again = forking.run("exp", line, tmp_path)
    assert "page.html: the file already exists" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "problem", "fix"),
    [
        ({"step": 71}, "has the steps 1 to 70", "step=70"),
        ({"step": 0}, "step must be an integer >= 1", "step=1"),
        ({"rows": 0}, "rows must be an integer >= 1", "rows=3"),
        ({"columns": 0}, "columns must be an integer >= 1", "columns=8"),
        ({"columns": 31}, "columns=31: must be <= 30", "columns=30"),
        ({"rows": 11}, "rows=11: must be <= 10", "rows=10"),
        ({"out": "page.txt"}, "must be a .html file", "out=page.html"),
    ],
)
def test_a_wrong_argument_is_answered_with_what_is_allowed(
    place: Path, arguments: dict[str, Any], problem: str, fix: str
):
    with pytest.raises(ConfigError, match=problem) as error:
        explain(str(place / "sgd"), **arguments)
    assert error.value.fix == fix


def test_rows_that_changed_are_refused(tmp_path: Path):
    table = tmp_path / "t.csv"
    lines = [f"{i * i % 13},{i % 7 + 0.5}\n" for i in range(20)]
    table.write_text("".join(["a,b\n", *lines]))
    words = ["dataset=table", "dataset.path=t.csv", "dataset.target=b", "epochs=1", "figures=false"]
    assert forking.run("exp", [*words, "hydra.run.dir=run"], tmp_path).returncode == 0
    table.rename(tmp_path / "moved.csv")
    run, moved = str(tmp_path / "run"), {"dataset.path": str(tmp_path / "moved.csv")}
    with pytest.raises(DataError, match="cannot load the rows") as error:
        explain(run)
    assert error.value.fix.startswith("dataset.path=")
    assert moved["dataset.path"] in " ".join(explain(run, **moved).lines())  # type: ignore[arg-type]
    (tmp_path / "moved.csv").write_text("".join(["a,b\n", *reversed(lines)]))
    with pytest.raises(DataError, match="the rows differ from those that the run was trained on"):
        explain(run, **moved)  # type: ignore[arg-type]


def test_another_machine_is_named(place: Path, tmp_path: Path):
    run = shutil.copytree(place / "sgd", tmp_path / "run")
    assert explain(str(run)).document()["notes"] == ["the gradients are after clip_grad_norm=0.2"]
    summary = json.loads((run / "summary.json").read_text())
    summary["environment"]["cpu"] = "Z80"
    (run / "summary.json").write_text(json.dumps(summary))
    _, note = explain(str(run)).document()["notes"]
    assert note.startswith("cpu was Z80, is now ")
    assert note.endswith("the last digits may differ from those of the run")


def explained(*words: str, step: int = 1) -> ExplainedStep:
    found = explain_step(build(config_of(*words, "engine=eager")), step)
    assert found is not None
    return found


def test_a_compiled_runs_own_steps_rounded_differently(place: Path, tmp_path: Path):
    run = shutil.copytree(place / "sgd", tmp_path / "run")
    config = run / ".hydra/config.yaml"
    config.write_text(config.read_text().replace("engine: replay", "engine: compiled"))
    _, note = explain(str(run), step=40).document()["notes"]
    assert note.startswith("the run had engine=compiled: ")


def test_a_step_of_several_passes_has_the_layers_of_the_first():
    several = explained("dataset=xor", "optimizer=lbfgs", step=2)
    assert [one.kind for one in several.layers] == ["Linear", "ReLU", "Linear"]
    pieces = explained("dataset=iris", "batching.accumulate=2")
    assert (len(pieces.x), len(pieces.layers[0].output), len(pieces.output)) == (10, 5, 10)
    whole = explained("dataset=iris")
    assert torch.allclose(pieces.layers[0].output, whole.layers[0].output[:5])


def test_a_layer_that_returns_a_state_too_shows_its_output():
    found = explained("dataset=digits", "model=lstm")
    assert "LSTM" in [one.kind for one in found.layers]


def test_a_moving_average_leaves_the_trained_parameters():
    found, without = (explained("dataset=iris", *words, step=20) for words in (["ema=0.9"], []))
    assert same([one.after for one in found.parameters], [one.after for one in without.parameters])


def test_a_run_that_diverges_is_shown_up_to_there(tmp_path: Path):
    words = ["dataset=diabetes", "optimizer.lr=1e9", "epochs=1", "figures=false", "hydra.run.dir=run"]
    failed = forking.run("exp", words, tmp_path)
    assert "the training loss became inf at step 2" in failed.stderr
    assert explain(str(tmp_path / "run"), 2).document()["loss"] == np.inf
    for step in (3, 4, 6):
        end = f"step={step} is after the end of the run: the training loss became inf at step 2"
        with pytest.raises(ConfigError, match=end):
            explain(str(tmp_path / "run"), step)


def test_steps_of_a_call_behind_the_one_that_diverged_are_refused():
    line = ["dataset=diabetes", "model=linear", "optimizer.lr=1", "eval_every=5", "log_every=1"]
    assert not np.isfinite(explained(*line, step=23).loss)
    for step in range(24, 31):
        with pytest.raises(Diverged, match="the training loss became inf at step 23"):
            explained(*line, step=step)
