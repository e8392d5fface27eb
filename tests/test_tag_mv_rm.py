"""`exp tag`, `exp mv`, `exp rm`, and name= and notes=: they change nothing that is computed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import forking
import pytest

from exp.errors import ConfigError
from exp.mv import mv
from exp.results.about import check_tag
from exp.results.compare_runs import find_differences
from exp.results.heartbeat import describe_process
from exp.results.listed import read_listed
from exp.results.run_folder import read_config
from exp.rm import rm
from exp.sweeps.jobs import hash_config
from exp.tag import tag

BASE = ["dataset=xor", "epochs=2", "figures=false"]


def exp_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return forking.run("exp", list(words), folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with name= and notes=, and a sweep with a name."""
    folder = tmp_path_factory.mktemp("made")
    words = ["name=base", "notes=why it was made, and how", "hydra.run.dir=run"]
    assert exp_in(folder, *BASE, *words).returncode == 0
    line = ["-m", *BASE, "seed=1,2", "name=rates", "hydra.sweep.dir=sweep", "sweep.workers=0"]
    assert exp_in(folder, *line).returncode == 0
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("run", "sweep"):
        shutil.copytree(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def set_running(folder: Path) -> None:
    (folder / "summary.json").write_text(
        json.dumps({**summary(folder), "status": "running", "process": describe_process()})
    )


def test_name_and_notes_are_in_the_summary_and_change_nothing_else(place: Path, xor_run: Path):
    assert summary(place / "run")["about"] == {"name": "base", "notes": "why it was made, and how", "tags": []}
    assert summary(xor_run)["about"] == {"name": None, "notes": None, "tags": []}
    assert list(find_differences(place / "run", xor_run)) == []  # neither in the config nor in a bit
    keys = [hash_config({**read_config(folder)}) for folder in (place / "run", xor_run)]
    assert keys[0] == keys[1]
    assert exp_in(place, "best", "sweep").stdout.splitlines()[1].count("name=") == 0
    resumed = exp_in(place, "resume=run", "epochs=3", "name=longer")
    assert resumed.returncode == 0, resumed.stderr
    assert summary(place / "run")["about"] == {"name": "longer", "notes": "why it was made, and how", "tags": []}
    assert (read_listed(place / "run").name, read_listed(place / "sweep").name) == ("longer", "rates")


def test_tags_are_added_and_removed(place: Path):
    before = os.stat("run").st_mtime_ns
    assert tag("run", "paper", "best-one", "paper").tags == ("paper", "best-one")
    assert os.stat("run").st_mtime_ns == before  # it is not the latest run now
    assert tag("sweep", "paper").tags == ("paper",)
    assert tag("run", "best-one", remove=True).tags == ("paper",)
    assert [read_listed(Path(name)).tags for name in ("run", "sweep")] == [("paper",), ("paper",)]
    listed = json.loads(exp_in(place, "ls", "tag=paper", "kind=sweep", "--json").stdout)["runs"]
    assert [run["folder"] for run in listed] == ["sweep"]
    with pytest.raises(ConfigError, match="run has no tag nature: it has paper"):
        tag("run", "nature", remove=True)
    for wrong in ("two words", "a,b", "-x", ""):
        with pytest.raises(ConfigError, match="is no tag"):
            check_tag(wrong)


def test_name_notes_and_tags_can_be_changed_and_stay_when_resumed(place: Path):
    changed = exp_in(place, "tag", "run", "notes=a better reason, now", "name=second", "--json")
    found = json.loads(changed.stdout)
    assert (found["name"], found["notes"], found["tags"]) == ("second", "a better reason, now", [])
    assert tag("sweep", "paper", name="null", notes="all of them").name is None
    assert tag("run", "draft").tags == ("draft",)
    assert exp_in(place, "resume=run", "epochs=3").returncode == 0
    assert exp_in(place, "-m", "sweep.resume=sweep", "seed=1,2,3", "sweep.workers=0").returncode == 0
    run, sweep = read_listed(Path("run")), read_listed(Path("sweep"))
    assert (run.name, run.notes, run.tags) == ("second", "a better reason, now", ("draft",))
    assert (sweep.name, sweep.notes, sweep.tags) == (None, "all of them", ("paper",))
    assert exp_in(place, "resume=run", "epochs=4", "name=third").returncode == 0
    run = read_listed(Path("run"))
    assert (run.name, run.notes) == ("third", "a better reason, now")


def test_what_was_meant_by_other_words_for_a_tag_is_told(place: Path):
    for words, fix in (
        (["tag", "run"], "python -m exp tag run paper"),
        (["tag", "run", "sweep", "paper"], "python -m exp tag run paper && python -m exp tag sweep paper"),
        (["notes", "run", "hello", "there"], "python -m exp tag run 'notes=hello there'"),
        (["name", "run", "second"], "python -m exp tag run name=second"),
        (["rename", "sweep", "other"], "python -m exp mv sweep other"),
        (["evaluate", "run=run", "ensemble=true"], "run=run ensemble=false"),
        (["evaluate", "run=sweep/0", "ensemble=true"], "run=sweep ensemble=true"),
    ):
        refused = exp_in(place, *words)
        assert refused.returncode == 1
        assert refused.stderr.endswith(f"  try: {fix}\n"), refused.stderr


def test_a_run_that_moved_is_resumed_with_the_same_bits(place: Path):
    assert exp_in(place, *BASE, "hydra.run.dir=here").returncode == 0  # a copy names the folder that it was copied from
    shutil.copytree("here", "same")
    assert mv("here", "far/away/new").folder == "far/away/new"
    assert not Path("here").exists()
    assert str(place / "far/away/new") in Path("far/away/new/.hydra/hydra.yaml").read_text()
    for folder in ("far/away/new", "same"):
        assert exp_in(place, f"resume={folder}", "epochs=4").returncode == 0
    assert [kind for kind, _ in find_differences(place / "same", place / "far/away/new")] == []
    assert exp_in(place, "evaluate", "run=far/away/new").returncode == 0


def test_a_sweep_that_moved_has_its_tables_and_runs_no_job_again(place: Path):
    Path("archive").mkdir()
    assert mv("sweep", "archive").folder == "archive/sweep"
    times = {path: path.stat().st_mtime_ns for path in place.rglob("metrics.csv")}
    done = exp_in(place, "-m", "sweep.resume=archive/sweep", "sweep.workers=0")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in place.rglob("metrics.csv")} == times
    assert exp_in(place, "best", "archive/sweep").stdout.startswith("# jobs 0, 1: ")
    assert not Path("sweep").exists()
    assert "sweep.dir=sweep\n" not in Path("archive/sweep/multirun.yaml").read_text()


def test_what_refers_to_a_run_is_told(place: Path):
    assert exp_in(place, *BASE, "init=run:last", "hydra.run.dir=next").returncode == 0
    told = "next began with its parameters (init=run:last)"
    assert told in exp_in(place, "rm", "run").stderr
    assert mv("run", "first").notes == [f"{told}, by its former name"]
    assert rm("sweep/1", yes=True).dependents == ["sweep/1 is a job of the sweep sweep"]
    assert [path.name for path in Path("sweep").glob("[01]")] == ["0"]


def test_nothing_is_removed_unless_every_folder_is_a_run_at_rest(place: Path):
    Path("data").mkdir()
    os.symlink("run", "link")
    set_running(Path("sweep/0"))
    for wrong, problem in (
        ("data", "neither a run nor a sweep"),
        (".", "2 of them below it"),
        ("link", "is a link"),
        ("nowhere", "there is no such folder"),
        ("sweep", "sweep/0 is running"),
    ):
        with pytest.raises(ConfigError, match=problem):
            rm("run", wrong, yes=True)
        with pytest.raises(ConfigError, match=problem):
            mv(wrong, "new")
        with pytest.raises(ConfigError, match=problem):
            tag(wrong, "paper")
    refused = exp_in(place, "rm", "run")  # no terminal that could answer
    assert refused.returncode == 1
    assert "run: run, " in refused.stderr
    assert refused.stderr.endswith("try: python -m exp rm run --yes\n")
    assert Path("run/summary.json").exists()
    removed = json.loads(exp_in(place, "rm", "run", "--yes", "--json").stdout)
    assert removed == {"format": 1, "command": "rm", "removed": ["run"], "dependents": [], "exit_code": 0}
    assert not Path("run").exists()


def test_a_run_is_not_moved_into_another_or_out_of_its_sweep(place: Path):
    for run, new, problem in (
        ("run", "sweep/9", "would be inside"),
        ("run", "run/inner", "would be inside"),
        ("run", "sweep", "already is a run or sweep"),
        ("sweep/0", "alone", "stays in it"),
    ):
        with pytest.raises(ConfigError, match=problem):
            mv(run, new)
    Path("file").touch()
    with pytest.raises(ConfigError, match="already exists"):
        mv("run", "file")
    assert Path("run/summary.json").exists()
