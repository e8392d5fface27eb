"""`--json`: one object on stdout for every command, whose fields the page JSON describes."""

import json
import re
import shutil
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import forking
import pytest

from exp.cli.answer import as_json
from exp.cli.command_correction import parameters_of
from exp.cli.commands import COMMANDS, help_of, load
from exp.results import metrics_csv

DOCS = Path(__file__).parents[2] / "docs/pages"
PAGE = (DOCS / "how-to/json.md").read_text(encoding="utf-8")
BASE = ["dataset=iris", "epochs=2", "figures=false"]

# Objects whose keys are data: names of splits, metrics, groups and keys.
DATA = ("choices", "overrides", "values", "metrics", "final", "before", "after", "files", "config")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json")
    for name, *words in (("run", "optimizer.lr=0.1"), ("other", "optimizer.lr=0.01")):
        assert forking.run("exp", [*BASE, *words, f"hydra.run.dir={name}"], folder).returncode == 0
    line = ["-m", *BASE, "optimizer.lr=0.01,0.1", "hydra.sweep.dir=sweep", "sweep.workers=0"]
    assert forking.run("exp", line, folder).returncode == 0
    (folder / "rows.csv").write_text("x0,x1,x2,x3\n5,3,1,0.2\n")
    return folder


def document(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = forking.run("exp", [*words, "--json"], folder)
    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)
    assert list(found)[:2] == ["format", "command"]
    assert found["format"] == 1
    return found


def names(value: Any) -> set[str]:
    """Every key of an object and of those in it, without keys that are data."""
    if isinstance(value, list):
        return {name for one in value for name in names(one)}
    if not isinstance(value, dict):
        return set()
    return {*value, *(name for key, inner in value.items() if key not in DATA for name in names(inner))}


def described(command: str) -> set[str]:
    """The names that the page's section on the command has in backticks; those of status serve for a training."""
    section = PAGE.partition(f"\n### {command}\n")[2].partition("\n### ")[0]
    assert section, command
    shared = PAGE.partition("\n## Errors")[2].partition("\n## Fields")[0] if command == "train" else ""
    more = PAGE.partition("\n### status\n")[2].partition("\n### ")[0] if command in ("train", "ls", "refit") else ""
    text = re.sub(r"^```.*?^```", "", f"{section}\n{shared}\n{more}", flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", text)) | {"format", "command"}


def test_every_field_of_every_command_is_on_the_page(place: Path, tmp_path: Path):
    shutil.copytree(place, tmp_path / "all")
    here = tmp_path / "all"
    cases = [
        ("ls", ["ls"], 0),
        ("status", ["status", "run", "sweep"], 0),
        ("best", ["best", "sweep"], 0),
        ("train", ["-m", *BASE, "seed=1,2", "hydra.sweep.dir=seeds", "sweep.workers=0"], 0),
        ("train", ["-m", *BASE, "seed=1,2", "sweep.dry_run=true"], 0),
        ("train", ["--cfg", "job", *BASE], 0),
        ("evaluate", ["evaluate", "run=run"], 0),
        ("diff", ["diff", "run", "other"], 1),
        ("importance", ["importance", "run=run", "repeats=2"], 0),
        ("calibrate", ["calibrate", "run=run"], 0),
        ("export", ["export", "run=other", "format=script", "out=train.py"], 0),
        ("report", ["report", "run=."], 0),
        ("explain", ["explain", "run=run"], 0),
        ("tag", ["tag", "run", "paper"], 0),
        ("mv", ["mv", "other", "moved"], 0),
        ("rm", ["rm", "moved", "--yes"], 0),
        ("cache", ["cache"], 0),
        ("schema", ["schema", "schemas"], 0),
        ("new", ["new", "churn"], 0),
        ("train", [*BASE, "hydra.run.dir=new"], 0),
        ("train", ["dataset=irs", "optimizer.lr=x"], 1),
    ]
    for command, words, code in cases:
        found = document(here, *words, code=code)
        assert found["command"] == command
        assert names(found) - described(command) == set(), command
    assert {*COMMANDS} == set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) - {"train"}


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
    assert text.stderr == f"exp evaluate: {wrong['error']}\n  try: {wrong['fix']}\n"  # another view of the same
    several = document(place, "dataset=irs", "optimizer.lr=x", code=1)
    assert [one["key"] for one in several["errors"]] == ["dataset", "optimizer.lr"]
    assert several["corrected"] == "python -m exp dataset=iris optimizer.lr=0.02"


def test_a_trained_run_and_a_sweep_are_one_object(place: Path):
    found = document(place, *BASE, "name=x", "hydra.run.dir=trained")
    assert found["result"] == document(place, "status", "trained")["folders"][0]
    sweep = document(place, "-m", *BASE, "optimizer.lr=0.1,0.2", "hydra.sweep.dir=swept", "sweep.workers=2")
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
def test_a_refit_is_described_as_a_training(place: Path, tmp_path: Path):
    shutil.copytree(place / "sweep", tmp_path / "sweep")
    refit = document(tmp_path, "refit", "sweep", "out=new")
    assert (refit["folder"], refit["result"]["folder"], refit["result"]["status"]) == ("new", "new", "finished")
    assert names(refit) - described("refit") - described("train") == set()


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


def test_numbers_that_json_does_not_have_are_strings():
    text = as_json("x", {"a": float("nan"), "b": [float("-inf"), 1.5], "c": {"d": (float("inf"),)}})
    assert json.loads(text) == {"format": 1, "command": "x", "a": "nan", "b": ["-inf", 1.5], "c": {"d": ["inf"]}}


def test_the_file_for_programs_names_every_command_and_page():
    text = (DOCS / "llms.txt").read_text(encoding="utf-8")
    assert [command for command in COMMANDS if re.search(rf"[`, ]{command}\b", text) is None] == []
    assert all((DOCS / link).exists() for link in re.findall(r"\]\((.+?)\)", text))
