"""`--json`: one object on stdout for every command, whose fields json_fields.yaml describes."""

import json
import re
import shutil
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forking
import pytest

from exp.cli.answer import as_json, keep_json
from exp.cli.command_correction import parameters_of
from exp.cli.command_help import help_of
from exp.cli.commands import COMMANDS, load
from exp.cli.json_fields import read_json_fields
from exp.results import metrics_csv

DOCS = Path(__file__).parents[2] / "docs/pages"
BASE = ["dataset=iris", "epochs=2", "figures=false"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json")
    for name, *words in (("run", "optimizer.lr=0.1"), ("other", "optimizer.lr=0.01")):
        assert forking.run("exp", [*BASE, *words, f"hydra.run.dir={name}"], folder).returncode == 0
    line = ["-m", *BASE, "optimizer.lr=0.01,0.1", "hydra.sweep.dir=sweep", "sweep.workers=0"]
    assert forking.run("exp", line, folder).returncode == 0
    header = ",".join(f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width"))
    (folder / "rows.csv").write_text(f"{header}\n5,3,1,0.2\n")
    return folder


def document(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = forking.run("exp", [*words, "--json"], folder)
    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)
    assert list(found)[:2] == ["format", "command"]
    assert found["format"] == 1
    return found


def fields_in(value: Any, known: set[str], at: str = "") -> Iterator[str]:
    """Every field of an object and of those in it, as json_fields.yaml spells it, or as it is if not there."""
    inside = {field for field in known if field.startswith((f"{at}.", f"{at}["))} if at else known
    if not inside:  # nothing is said of what is in it
        return
    if isinstance(value, list):
        yield f"{at}[]"
        for one in value:
            yield from fields_in(one, known, f"{at}[]")
    elif isinstance(value, dict):
        parts = {re.split(r"[.\[]", field.removeprefix(f"{at}." if at else ""))[0] for field in inside}
        any_name = next((part for part in parts if part.isupper()), None)
        for name, one in value.items():
            field = ".".join([*([at] if at else []), name if name in parts else any_name or name])
            if field in known or not any(other.startswith((f"{field}.", f"{field}[")) for other in known):
                yield field
            yield from fields_in(one, known, field)


def check_fields(objects: list[tuple[str, dict[str, Any]]]) -> None:
    """The objects of each command have exactly the fields that json_fields.yaml describes."""
    every, found = read_json_fields()["every object"], defaultdict[str, set[str]](set)
    for command, one in objects:
        name = "error" if "error" in one else command
        known = {*every, *read_json_fields()[name]}
        found[name] |= set(fields_in(one, known))
        if name != "error":
            assert {re.split(r"[.\[]", field)[0] for field in known} == set(one), command
        if "result" in one and one["result"] is not None:
            of_status = {*read_json_fields()["status"]}
            assert {*fields_in({"folders": [one["result"]]}, of_status)} <= of_status
    for name, fields in found.items():
        assert fields == {*every, *read_json_fields()[name]}, name


def test_every_object_has_the_fields_that_are_described(place: Path, tmp_path: Path):
    shutil.copytree(place, tmp_path / "all")
    here = tmp_path / "all"
    many = ["-m", *BASE, "optimizer.lr=0.1,0.2", "seed=1,2", "sweep.workers=0"]
    (here / "table.csv").write_text("a,y\n" + "".join(f"{n % 7},{n}.5\n" for n in range(40)))
    mapped = ["dataset=table", "dataset.path=table.csv", "dataset.target=y"]
    cases = [
        ("train", [*mapped, "dataset.storage=mapped", "epochs=2", "figures=false", "hydra.run.dir=mapped"], 0),
        ("tag", ["tag", "run", "paper"], 0),
        ("ls", ["ls"], 0),
        ("status", ["status", "run", "sweep"], 0),
        ("best", ["best", "sweep"], 0),
        ("train", [*many, "hydra.sweep.dir=seeds"], 0),
        ("train", [*many, "sweep.dry_run=true"], 0),
        ("train", ["--cfg", "job", *BASE], 0),
        ("evaluate", ["evaluate", "run=run"], 0),
        ("predict", ["predict", "run=run", "data=rows.csv", "out=out.csv"], 0),
        ("diff", ["diff", "run", "other"], 1),
        ("importance", ["importance", "run=run", "repeats=2"], 0),
        ("calibrate", ["calibrate", "run=run"], 0),
        ("calibrate", ["calibrate", "run=run", "method=none"], 0),
        ("export", ["export", "run=other", "format=script", "out=train.py"], 0),
        ("report", ["report", "run=."], 0),
        ("explain", ["explain", "run=run"], 0),
        ("explain", ["explain", "run=mapped"], 0),
        ("mv", ["mv", "other", "moved"], 0),
        ("rm", ["rm", "moved", "--yes"], 0),
        ("cache", ["cache"], 0),
        ("schema", ["schema", "schemas"], 0),
        ("new", ["new", "churn"], 0),
        ("train", ["dataset=irs", "optimizer.lr=x"], 1),
    ]
    objects = [(command, document(here, *words, code=code)) for command, words, code in cases]
    assert all(one["command"] == command for command, one in objects)
    check_fields(objects)
    assert {*COMMANDS} == {*read_json_fields()} - {"every object", "error", "train"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_json_and_says_so(command: str):
    function = load(command)
    assert "json" in parameters_of(function)
    assert "[--json]" in " ".join(help_of(function).split())


def test_an_error_is_an_object_with_what_to_type(place: Path):
    wrong = document(place, "evaluate", "run=nowhere", code=1)
    assert (wrong["command"], wrong["exit_code"]) == ("evaluate", 1)
    assert wrong["error"] == "nowhere does not contain a run"
    text = forking.run("exp", ["evaluate", "run=nowhere"], place)
    line = document(place, "evaluate", "resume=run", code=1)["fix"]
    assert line == "python -m exp evaluate run=run --json"
    assert text.stderr == f"exp evaluate: {wrong['error']}\n  try: {wrong['fix']}\n"  # another view of the same
    several = document(place, "dataset=irs", "optimizer.lr=x", code=1)
    assert [one["key"] for one in several["errors"]] == ["dataset", "optimizer.lr"]
    assert several["corrected"] == "python -m exp dataset=iris optimizer.lr=0.02 --json"


@pytest.mark.parametrize(
    "prose", ["python -m exp --help, which lists the keys", "python -m exp a=VALUE, as `exp` shows it"]
)
def test_a_sentence_around_a_command_gets_no_json(prose: str):
    assert keep_json(prose) == prose
    assert keep_json("python -m exp 'model.hidden=[8, 8]'") == "python -m exp 'model.hidden=[8, 8]' --json"


def test_paths_below_the_current_folder_are_relative(place: Path):
    here = str(place)
    line = ["dataset=iris", "epochs=1", "figures=false", f"hydra.run.dir={here}/typed"]
    for words in (
        line,
        ["-m", *line[:-1], "seed=1,2", "sweep.workers=0", f"hydra.sweep.dir={here}/typed_sweep"],
        ["ls", here],
        ["status", f"{here}/typed", f"{here}/typed_sweep"],
        ["best", f"{here}/typed_sweep"],
        ["evaluate", f"run={here}/typed"],
        ["predict", f"{here}/typed", f"data={here}/rows.csv", f"out={here}/typed.csv"],
        ["export", f"run={here}/typed", "format=script", f"out={here}/typed.py"],
        ["report", f"run={here}/typed"],
        ["tag", f"{here}/typed", "paper"],
        ["mv", f"{here}/typed", f"{here}/typed_then"],
    ):
        assert here not in json.dumps(document(place, *words)), words


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_trained_run_and_a_sweep_are_one_object(place: Path, workers: int, tmp_path: Path):
    shutil.copytree(place, tmp_path / "all")
    place = tmp_path / "all"
    found = document(place, *BASE, "name=x", "hydra.run.dir=trained")
    assert found["result"] == document(place, "status", "trained")["folders"][0]
    sweep = document(place, "-m", *BASE, "optimizer.lr=0.1,0.2", "hydra.sweep.dir=swept", f"sweep.workers={workers}")
    assert (sweep["result"]["kind"], sweep["result"]["jobs"]["finished"]) == ("sweep", 2)
    evaluated = document(place, "evaluate", "run=trained")
    assert evaluated["metrics"] == found["result"]["metrics"]["test"]


def test_what_people_read_of_a_training_is_in_its_object(place: Path, tmp_path: Path):
    shutil.copytree(place / "sweep", tmp_path / "sweep")
    run = document(
        *(tmp_path, "dataset=iris", "optimizer.lr=5", "epochs=30", "figures=false", "early_stopping.patience=1"),
        "hydra.run.dir=run",
    )
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (run["notes"], run["baseline"]) == (summary.get("notes", []), summary["baseline"])
    assert run["baseline"]["metrics"]["accuracy"] < 0.5
    assert run["stopped_early"] is (run["result"]["step"] < run["result"]["steps"])
    rows = [row for row in metrics_csv.read_rows(tmp_path / "run") if row.split == "val"]
    lowest = min(rows, key=lambda row: row.metrics["loss"])
    assert run["best"] == {"metric": "loss/val", "step": lowest.step, "value": lowest.metrics["loss"]}
    line = ["-m", *BASE, "seed=1,2,3", "hydra.sweep.dir=seeds", "sweep.workers=0"]
    sweep = document(tmp_path, *line)
    summaries = [json.loads((tmp_path / job["folder"] / "summary.json").read_text()) for job in sweep["jobs"]]
    losses = [summary["final"]["val"]["loss"] for summary in summaries]
    (mean,) = sweep["means"]
    assert (mean["n"], mean["lost"], mean["choices"]) == (3, 0, {})
    found = mean["metrics"]["loss/val"]
    assert found["mean"] == pytest.approx(statistics.fmean(losses))
    assert found["std"] == pytest.approx(statistics.stdev(losses))
    assert found["low"] < found["mean"] < found["high"]
    planned = document(tmp_path, "-m", "dataset=iris", "seed=4,5", "sweep.dry_run=true")
    assert planned["planned"] == [{"job": n, "overrides": ["dataset=iris", f"seed={n + 4}"]} for n in (0, 1)]
    config = document(tmp_path, "--cfg", "job", "dataset=iris", "seed=4")
    assert (config["config"]["seed"], config["config"]["epochs"]) == (4, 20)
    assert document(tmp_path, "--version")["text"].startswith("exp ")


@pytest.mark.slow
def test_a_refit_and_a_verification_have_the_fields_that_are_described(place: Path, tmp_path: Path):
    shutil.copytree(place / "sweep", tmp_path / "sweep")
    refit = document(tmp_path, "refit", "sweep", "out=new")
    assert (refit["folder"], refit["result"]["folder"], refit["result"]["status"]) == ("new", "new", "finished")
    long = ["dataset=iris", "epochs=8000", "eval_every=400epoch", "figures=false", "hydra.run.dir=long"]
    assert forking.run("exp", long, tmp_path).returncode == 0
    check_fields([("refit", refit), ("verify", document(tmp_path, "verify", "resume=long", "kills=1"))])


def stopped(folder: Path, which: int, written: str, *words: str) -> dict[str, Any]:
    """Stop the command once that file is written, and return its object."""
    process = forking.begin("exp", "--json", *words, folder=folder)
    deadline = time.monotonic() + 60
    while not (folder / written).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(which)
    out, err = process.communicate()
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[which], err
    return json.loads(out)


def test_a_command_that_is_stopped_prints_its_object(tmp_path: Path):
    endless = "dataset=xor epochs=100000000 figures=false save_every=1epoch".split()
    run = stopped(tmp_path, signal.SIGTERM, "run/checkpoints/last.pt", *endless, "hydra.run.dir=run")
    assert run["exit_code"] == 143
    assert (run["result"]["status"], run["result"]["folder"]) == ("interrupted", "run")
    assert run["result"]["resume"] == "python -m exp resume=run"
    assert run["result"] == json.loads(forking.run("exp", ["status", "run", "--json"], tmp_path).stdout)["folders"][0]
    words = ["-m", *endless, "seed=1,2", "sweep.workers=0", "hydra.sweep.dir=sweep"]
    sweep = stopped(tmp_path, signal.SIGINT, "sweep/0/checkpoints/last.pt", *words)
    assert (sweep["exit_code"], sweep["result"]["kind"], sweep["result"]["folder"]) == (130, "sweep", "sweep")
    assert sweep["result"]["resume"] == "python -m exp -m sweep.resume=sweep"
    assert sweep["result"]["jobs"]["interrupted"] == 1
    status = json.loads(forking.run("exp", ["status", "sweep", "--json"], tmp_path).stdout)
    assert (sweep["result"], status["exit_code"]) == (status["folders"][0], 1)
    shutil.rmtree(tmp_path / "sweep")
    assert stopped(tmp_path, signal.SIGTERM, "sweep/0/checkpoints/last.pt", *words)["exit_code"] == 143


def test_numbers_that_json_does_not_have_are_strings():
    text = as_json("x", {"a": float("nan"), "b": [float("-inf"), 1.5], "c": {"d": (float("inf"),)}}, 0)
    fields = {"a": "nan", "b": ["-inf", 1.5], "c": {"d": ["inf"]}}
    assert json.loads(text) == {"format": 1, "command": "x", **fields, "exit_code": 0}


def test_the_file_for_programs_names_every_command_and_page():
    text = (DOCS / "llms.txt").read_text(encoding="utf-8")
    assert [command for command in COMMANDS if re.search(rf"[`, ]{command}\b", text) is None] == []
    assert all((DOCS / link).exists() for link in re.findall(r"\]\((.+?)\)", text))
