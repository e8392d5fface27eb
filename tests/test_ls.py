"""`exp ls`: the runs and sweeps below a folder, what differs between them, filters and orders."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import forking
import pytest
import yaml

from exp.config.schema import flatten
from exp.errors import ConfigError
from exp.results.comparable import comparison_warnings, find_other_meaning
from exp.results.differing import find_differing
from exp.results.filters import Filter, apply_filters
from exp.results.flat_config import read_flat_config
from exp.results.listed import read_listed
from exp.results.listing import list_runs
from exp.results.run_folder import read_config

BASE = ["dataset=xor", "epochs=2", "figures=false"]


def exp_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return forking.run("exp", list(words), folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs and a sweep: of other rates, another optimizer, and a job that diverged."""
    folder = tmp_path_factory.mktemp("many")
    for name, *words in (
        ("runs/slow", "optimizer.lr=0.001"),
        ("runs/fast", "optimizer.lr=0.1", "seed=1"),
        ("adam", "optimizer=adam", "optimizer.lr=0.1"),
    ):
        assert exp_in(folder, *BASE, *words, f"hydra.run.dir={name}").returncode == 0
    line = ["-m", *BASE, "optimizer.lr=0.01,0.02", "hydra.sweep.dir=sweep", "sweep.workers=0"]
    assert exp_in(folder, *line).returncode == 0
    path = folder / "sweep/1/summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "diverged", "final": {}}))
    (folder / "data/inner").mkdir(parents=True)
    (folder / "data/notes.txt").write_text("no run")
    return folder


def document(folder: Path, *words: str) -> dict[str, Any]:
    done = exp_in(folder, "ls", "--json", *words)
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_every_run_and_sweep_is_a_line_with_what_differs(place: Path):
    found = document(place)
    assert (found["format"], found["command"], found["found"]) == (1, "ls", 4)
    assert [run["folder"] for run in found["runs"]] == sorted(
        (run["folder"] for run in found["runs"]), key=lambda name: -began(found, name)
    )
    assert found["differing"] == ["optimizer", "optimizer.lr", "seed"]  # not adam's betas, nor the momentum of sgd
    by_folder = {run["folder"]: run for run in found["runs"]}
    assert found["listed"] == 4
    one = document(place, "kind=sweep")
    assert (one["found"], one["listed"], one["runs"][0]["values"]) == (4, 1, {})  # values tell it from other runs
    assert one["runs"][0]["overrides"] == by_folder[one["runs"][0]["folder"]]["overrides"]
    assert one["runs"][0]["overrides"]["optimizer.lr"] in (0.01, 0.02)
    assert by_folder.keys() == {"runs/slow", "runs/fast", "adam", "sweep"}
    assert by_folder["adam"]["values"] == {"optimizer": "adam", "optimizer.lr": 0.1, "seed": 0}
    sweep = by_folder["sweep"]
    assert (sweep["kind"], sweep["best_job"], sweep["values"]["optimizer.lr"]) == ("sweep", "sweep/0", 0.01)
    assert (sweep["jobs"]["finished"], sweep["jobs"]["diverged"], sweep["jobs"]["all"]) == (1, 1, 2)
    summary = json.loads((place / "adam/summary.json").read_text())
    assert by_folder["adam"]["metric"] == "loss/val"
    assert by_folder["adam"]["value"] == summary["final"]["val"]["loss"]


def began(found: dict[str, Any], folder: str) -> float:
    path = next(run["began"] for run in found["runs"] if run["folder"] == folder)
    from datetime import datetime

    return datetime.fromisoformat(path).timestamp()


def test_the_table_shows_what_the_object_holds(place: Path):
    done = exp_in(place, "ls", "--sort")
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head == "folder when dataset model optimizer lr seed status jobs loss/val".split()
    values = [float(row[-1]) for row in rows]
    assert values == sorted(values)
    assert {row[0] for row in rows} == {"runs/slow", "runs/fast", "adam", "sweep"}
    assert "1/2, best 0" in done.stdout
    jobs = exp_in(place, "ls", "sweep", "--jobs").stdout
    assert [line.split()[0] for line in jobs.splitlines()[1:]] == ["sweep/1", "sweep/0"]
    assert "diverged" in jobs


@pytest.mark.parametrize(
    ("filters", "folders"),
    [
        (["optimizer.lr<0.1"], {"runs/slow", "sweep"}),
        (["lr<=0.10", "kind=run"], {"runs/slow", "runs/fast", "adam"}),
        (["optimizer=adam,adamw"], {"adam"}),
        (["optimizer!=adam", "seed=0"], {"runs/slow", "sweep"}),
        (["folder=runs/*"], {"runs/slow", "runs/fast"}),
        (["model.hidden=[10]", "optimizer.betas=[0.9, 0.999]"], {"adam"}),
        (["loss/val<0", "status=finished"], set()),
        (["when>=2020", "when<2020-01-02"], set()),
        (["when>=2020", "when!=2020-01-02,2020-01-03", "seed=1"], {"runs/fast"}),
        (["name=null", "tag!=paper", "seed=1"], {"runs/fast"}),
        (["tag=null,paper", "seed=1"], {"runs/fast"}),
        (["model.hidden=[4],[10.0]", "optimizer.nesterov=False"], {"runs/slow", "runs/fast", "sweep"}),
    ],
)
def test_filters_are_written_as_overrides_are(place: Path, filters: list[str], folders: set[str]):
    listing = list_runs(place, [word.replace("runs/*", f"{place}/runs/*") for word in filters])
    assert {Path(line.folder).relative_to(place).as_posix() for line in listing.lines} == folders


def test_a_sweep_began_with_its_first_job_also_where_a_time_is_damaged_or_of_another_zone(place: Path, tmp_path: Path):
    """In the list of many runs, one damaged file ended the command."""
    shutil.copytree(place / "sweep", tmp_path / "sweep")
    for times, first in (
        (("2026-11-01T01:30:00+02:00", "2026-11-01T01:00:00+00:00"), "2026-11-01T01:30:00+02:00"),
        (("damaged", "2026-11-01T01:00:00+00:00"), "2026-11-01T01:00:00+00:00"),
        (("damaged", "damaged"), None),
    ):
        for job, began in zip("01", times, strict=True):
            path = tmp_path / "sweep" / job / "summary.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"process": {"began": began}}))
        (line,) = list_runs(tmp_path).lines
        assert (line.began, bool(line.when)) == (first, first is not None)


def test_a_day_of_when_and_nan_are_values():
    for word, value, is_accepted in (
        ("when=2026-11-27,2026-11-28", "2026-11-28 14:05", True),
        ("when=2026-11-28 14:06", "2026-11-28 14:05", False),
        ("when>=2026", "2026-11-28 14:05", True),
        ("when<2026", "2026-11-28 14:05", False),
        ("when>2026-11-28T14:04", "2026-11-28 14:05", True),
        ("loss/val=nan", float("nan"), True),
        ("loss/val!=nan", float("nan"), False),
        ("loss/val=nan", 1.0, False),
        ("dataset.split=[.6,.20,2e-1]", [0.6, 0.2, 0.2], True),
        ("figures=0", False, False),
        ("figures=FALSE", False, True),
    ):
        found = Filter.parse(word)
        assert found is not None
        assert found.accepts(value) is is_accepted, word


def test_a_wrong_key_value_or_metric_is_an_error_that_lists_what_there_is(place: Path):
    cases = {
        ("optimizr.lr=1",): ("no run has the key optimizr.lr", "'optimizer.lr=1'"),
        ("accuracy>0.9",): ("accuracy is accuracy/val or accuracy/test", "'accuracy/val>0.9'"),
        ("when>=yesterday",): (">= compares dates, and yesterday is none", "'when>=2026-11-01'"),
        ("optimizer.lr<fast",): ("< compares numbers, and fast is none", "'optimizer.lr=fast'"),
        ("--sort", "acuracy"): ("--sort acuracy: no run has this metric", "--sort accuracy/val"),
    }
    for words, (problem, fix) in cases.items():
        done = exp_in(place, "ls", ".", *words)
        assert done.returncode == 1
        assert problem in done.stderr
        assert done.stderr.strip().endswith(f"try: {fix}") or shlex_free(done.stderr, fix), done.stderr
        found = json.loads(exp_in(place, "ls", "--json", *words).stdout)
        assert problem in found["error"]
        assert found["exit_code"] == 1
    with pytest.raises(ConfigError, match=r"available: folder, name, .*dataset, .*optimizer\.lr"):
        list_runs(place, ["nonsense=1"])
    with pytest.raises(ConfigError, match="there is no such folder"):
        list_runs(place / "nowhere")


def shlex_free(text: str, fix: str) -> bool:
    """Whether the text ends with the fix as a shell writes it, which needs no quotes for a word without signs."""
    return text.strip().endswith(f"try: {fix.strip(chr(39))}")


def test_filters_are_told_from_folders():
    assert Filter.parse("optimizer.lr<0.1") == Filter("optimizer.lr", "<", "0.1")
    assert Filter.parse("a!=b") == Filter("a", "!=", "b")
    assert Filter.parse("runs/a") is None
    assert Filter("x", "=", "1,2").accepts(2.0)
    assert not Filter("x", "=", "1,2").accepts(True)
    assert not Filter("x", "<", "1").accepts(None)
    assert Filter("x", "=", "null").accepts(None)


def test_the_config_in_blocks_is_the_config_as_omegaconf_reads_it(place: Path, tmp_path: Path):
    for name in ("runs/slow", "adam", "sweep/0"):
        assert read_flat_config(place / name) == flatten(read_config(place / name))
    shutil.copytree(place / "adam", tmp_path / "run")
    path = tmp_path / "run/.hydra/config.yaml"
    content = yaml.safe_load(path.read_text())
    content["model"]["hidden"] = "${epochs}"
    content["metrics"] = ["f1", "auc"]
    content["notes"] = "two\n\nlines: of text # and more, " + "long " * 40
    path.write_text(yaml.safe_dump(content))
    assert read_flat_config(tmp_path / "run") == flatten(read_config(tmp_path / "run"))
    content["model"]["hidden"] = [3]
    path.write_text(yaml.safe_dump(content))
    assert read_flat_config(tmp_path / "run") == flatten(read_config(tmp_path / "run"))
    path.write_text("- not\n- a config")
    assert read_flat_config(tmp_path / "run") == {}


def test_a_run_that_died_and_damaged_ones_are_listed(place: Path, tmp_path: Path):
    for name in ("died", "damaged", "bare"):
        shutil.copytree(place / "adam", tmp_path / name)
    path = tmp_path / "died/summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "running", "tags": "no list"}))
    (tmp_path / "damaged/summary.json").write_text("{")
    for name in ("summary.json", ".hydra/config.yaml", "metrics.csv"):
        (tmp_path / "bare" / name).unlink()
    os.symlink(tmp_path / "died", tmp_path / "link")
    statuses = {Path(line.folder).name: line.status for line in list_runs(tmp_path).lines}
    assert statuses == {"died": "died", "damaged": "damaged", "bare": "not begun"}
    assert read_listed(tmp_path / "died").value is not None  # of metrics.csv


def test_a_damaged_sweep_hides_no_other_run(place: Path, tmp_path: Path):
    shutil.copytree(place / "adam", tmp_path / "adam")
    shutil.copytree(place / "sweep", tmp_path / "sweep")
    (tmp_path / "sweep/multirun.yaml").write_bytes(b"\0\xff{[")
    told = "sweep is not listed: sweep/multirun.yaml cannot be read: 'utf-8' codec can't decode"
    shown = exp_in(tmp_path, "ls")
    assert shown.returncode == 0
    assert "\nadam " in shown.stdout
    assert f"\nnote: {told}" in shown.stdout
    assert json.loads(exp_in(tmp_path, "ls", "--json").stdout)["warnings"][0].startswith(told)
    assert f"note: {told}" in exp_in(tmp_path, "best", ".").stdout
    assert told in exp_in(tmp_path, "report", ".").stdout
    shutil.rmtree(tmp_path / "adam")
    assert told in exp_in(tmp_path, "ls").stdout


def test_only_what_a_command_line_set_or_equal_options_differ_in_is_a_difference(place: Path):
    lines = [read_listed(place / name) for name in ("runs/slow", "adam")]
    assert find_differing(lines) == ["optimizer", "optimizer.lr"]
    assert find_differing(lines[:1] * 2) == []


def test_runs_and_sweeps_that_have_not_begun_add_no_settings_to_the_list(place: Path, tmp_path: Path):
    shutil.copytree(place, tmp_path / "all")
    columns = list_runs(tmp_path).differing
    sweep = tmp_path / "all/stopped"
    shutil.copytree(place / "sweep", sweep)
    for job in "01":
        shutil.rmtree(sweep / job)
    shutil.copytree(place / "adam/.hydra", tmp_path / "all/stopped_run/.hydra")
    found = list_runs(tmp_path)
    assert len(found.lines) == 6
    assert found.differing == columns
    assert [one.folder for one in list_runs(tmp_path, ["optimizer=adam"]).lines] == [
        str(tmp_path / f"all/{name}") for name in ("stopped_run", "adam")
    ]


def test_a_sweep_of_which_no_job_finished_has_no_value_of_what_its_jobs_vary(place: Path, tmp_path: Path):
    """Those of its first job were shown as the sweep's."""
    shutil.copytree(place / "sweep", tmp_path / "sweep")
    path = tmp_path / "sweep/0/summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "died", "final": {}}))
    shutil.copytree(place / "runs/slow", tmp_path / "run")
    sweep = read_listed(tmp_path / "sweep")
    assert "optimizer.lr" not in sweep.config
    assert (sweep.config["epochs"], sweep.choices["optimizer"], sweep.best_job) == (2, "sgd", None)
    assert [one.folder for one in list_runs(tmp_path, ["optimizer.lr<0.1"]).lines] == [str(tmp_path / "run")]
    (line,) = (run for run in document(tmp_path)["runs"] if run["kind"] == "sweep")
    assert line["values"] == {"optimizer.lr": None}


def test_a_sweep_over_options_has_only_what_was_typed_before_a_job_finished(tmp_path: Path):
    """An experiment chooses options of other groups, too; a search does not know what its next trial takes."""
    words = ["dataset=xor", "experiment=realmlp,realmlp_s", "epochs=1", "scheduler=none", "figures=false"]
    assert exp_in(tmp_path, "-m", *words, "sweep.workers=0", "hydra.sweep.dir=sweep").returncode == 0
    assert read_listed(tmp_path / "sweep").choices["experiment"] in ("realmlp", "realmlp_s")
    for job in "01":
        path = tmp_path / "sweep" / job / "summary.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "status": "died", "final": {}}))
    sweep = read_listed(tmp_path / "sweep")
    assert sweep.choices == {"dataset": "xor", "scheduler": "none"}
    assert (sweep.config["epochs"], sweep.config.get("model.dropout"), sweep.decided) == (1, None, {})
    record = tmp_path / "sweep/sweep.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "varied": []}))  # of a first trial
    words_of = tmp_path / "sweep/multirun.yaml"
    words_of.write_text(words_of.read_text().replace("- epochs=1", "- epochs=choice(1,2)"))
    assert "epochs" not in read_listed(tmp_path / "sweep").config


def test_runs_are_listed_by_the_engine_that_made_their_steps(place: Path, tmp_path: Path):
    for name, engine in (("replayed", "replay"), ("earlier", None)):
        shutil.copytree(place / "adam", tmp_path / name)
        path = tmp_path / name / "summary.json"
        content = json.loads(path.read_text())
        assert content.pop("engine_used") == "eager"  # of two steps
        path.write_text(json.dumps({**content, **({} if engine is None else {"engine_used": engine})}))
    lines = [read_listed(folder) for folder in (place / "adam", place / "sweep", *tmp_path.iterdir())]
    kept = {
        engine: {Path(one.folder).name for one in apply_filters(lines, [Filter("engine_used", "=", engine)])}
        for engine in ("eager", "replay", "compiled")
    }
    assert kept == {"eager": {"adam", "sweep"}, "replay": {"replayed"}, "compiled": set()}


def test_a_list_that_is_empty_says_so(tmp_path: Path):
    assert exp_in(tmp_path, "ls").stdout == ".: no runs\n"


def test_the_best_of_all_runs_is_named_with_its_command(place: Path):
    done = exp_in(place, "best", "--sort", "loss")
    first, second = done.stdout.splitlines()
    assert exp_in(place, "ls", "epochs=9999").stdout.endswith(" runs, of which none passes the filters\n")
    order = [line.split()[0] for line in exp_in(place, "ls", "--sort", "loss").stdout.splitlines()[1:]]
    assert first.startswith(f"# {order[0]}: loss/val ")
    assert first.endswith(", the lowest of 4 runs and sweeps")
    assert second.startswith("python -m exp dataset=xor epochs=2 figures=false ")
    found = json.loads(exp_in(place, "best", "lr=0.001", "--json").stdout)
    assert (found["folders"], found["compared"]) == (["runs/slow"], 1)
    assert found["arguments"] == [*BASE, "optimizer.lr=0.001"]
    none = exp_in(place, "best", "data")
    assert none.stderr.startswith("exp best: data does not contain a sweep")


def test_runs_with_other_rows_are_told(tmp_path: Path):
    """The seed of a run splits its rows too, unless dataset.seed does."""
    base = ["dataset=iris", "epochs=1", "figures=false"]
    for name, *words in (("0", "seed=0"), ("1", "seed=1"), ("2", "seed=2", "+dataset.seed=0")):
        assert exp_in(tmp_path, *base, *words, f"hydra.run.dir=rows/{name}").returncode == 0
    (warning,) = document(tmp_path / "rows", "--sort")["warnings"]
    assert warning == (
        "loss/val is of 2 different splits of the rows, which may be the difference; "
        "+dataset.seed=0 gives each run the same split"
    )
    assert exp_in(tmp_path, "ls", "rows", "--sort").stdout.splitlines()[-1] == f"note: {warning}"
    assert document(tmp_path / "rows", "--sort", "loss", "seed=0,2")["warnings"] == []
    assert f"# note: {warning}" in exp_in(tmp_path, "best", "rows").stdout
    same = exp_in(tmp_path, "best", "rows", "seed=0,2")
    assert "note" not in same.stdout
    assert document(tmp_path)["warnings"] == []  # newest first compares nothing


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep over three seeds, each with its own split, and its first job as a run."""
    folder = tmp_path_factory.mktemp("seeds")
    line = ["-m", "dataset=iris", "epochs=1", "figures=false", "seed=0,1,2", "sweep.workers=0", "hydra.sweep.dir=sweep"]
    assert exp_in(folder, *line).returncode == 0
    shutil.copytree(folder / "sweep/0", folder / "run")
    return folder


def test_a_sweep_of_other_splits_than_a_run_is_told(seeds: Path, tmp_path: Path):
    (warning,) = document(seeds, "--sort")["warnings"]
    assert warning == (
        "loss/val is of 3 different splits of the rows, which may be the difference; "
        "+dataset.seed=0 gives each run the same split"
    )
    assert f"# note: {warning}" in exp_in(seeds, "best").stdout
    shutil.copytree(seeds / "sweep", tmp_path / "a")
    shutil.copytree(seeds / "sweep", tmp_path / "b")
    assert document(tmp_path, "--sort")["warnings"] == []  # two means over the same splits
    shutil.rmtree(tmp_path / "b/2")
    assert document(tmp_path, "--sort")["warnings"] == [warning]
    lines = [read_listed(seeds / "run"), read_listed(seeds / "sweep")]
    folds = [lines[0], replace(lines[1], config={**lines[1].config, "folds": 3})]
    (other,) = comparison_warnings(folds, "loss/val")
    assert other.endswith("; +dataset.seed=0 with the same folds= gives each run the same split")


def test_every_metric_of_a_sweep_is_the_mean_over_its_best_choice(seeds: Path, tmp_path: Path):
    shutil.copytree(seeds / "sweep", tmp_path / "sweep")
    finals = [json.loads((seeds / f"sweep/{job}/summary.json").read_text())["final"] for job in range(3)]
    (found,) = document(seeds, "kind=sweep", "--sort", "accuracy/test")["runs"]
    expected = {
        f"{name}/{split}": pytest.approx(sum(final[split][name] for final in finals) / 3)
        for split in ("val", "test")
        for name in finals[0][split]
    }
    assert found["metrics"] == expected
    assert found["value"] == expected["accuracy/test"]
    assert found["value"] != pytest.approx(finals[0]["test"]["accuracy"])
    path = tmp_path / "sweep/2/summary.json"
    content = json.loads(path.read_text())
    del content["final"]["test"]["accuracy"]
    path.write_text(json.dumps(content))
    assert read_listed(tmp_path / "sweep").metrics.keys() == expected.keys() - {"accuracy/test"}


def test_runs_of_another_target_or_loss_are_not_compared(place: Path, tmp_path: Path):
    rows = "".join(f"{row},{row % 7},{row * 3 % 11}.5,{'abc'[row % 3]}\n" for row in range(40))
    (tmp_path / "rows.csv").write_text(f"width,rooms,price,kind\n{rows}")
    base = ["dataset=table", "dataset.path=rows.csv", "model=mlp", "epochs=1", "figures=false"]
    for target in ("price", "kind"):
        line = [*base, f"dataset.target={target}", f"hydra.run.dir=runs/{target}"]
        assert exp_in(tmp_path, *line).returncode == 0
    (lead, other) = [run["choices"] and Path(run["folder"]).name for run in document(tmp_path, "--sort")["runs"]]
    problem = f"loss/val does not compare runs with another dataset.target: {lead}, {other}"
    refused = exp_in(tmp_path, "best", "runs", "dataset=table", "--sort", "loss/val")
    fix = f"exp best runs dataset.target={lead} dataset=table --sort loss/val"
    assert refused.returncode == 1
    assert problem in refused.stderr
    assert fix in refused.stderr
    assert document(tmp_path, "--sort")["warnings"] == [f"{problem}; to compare some: dataset.target={lead}"]
    assert exp_in(tmp_path, *fix.split()[1:]).returncode == 0

    run = read_listed(place / "adam")
    focal = replace(run, choices={**run.choices, "loss": "focal"}, decided={})
    for pair, metric in (([run, run], "loss/val"), ([run, focal], "accuracy/val")):
        assert find_other_meaning(pair, metric) is None
    found = find_other_meaning([run, focal], "loss/val")
    assert found is not None
    assert (found.key, found.values, found.fix) == ("loss", ["cross_entropy", "focal"], ["--sort", "accuracy/val"])
    decided = replace(focal, choices={**run.choices, "loss": "cross_entropy"})
    assert find_other_meaning([run, decided], "loss/val") is None  # what auto chose
    smooth = replace(run, config={**run.config, "loss.label_smoothing": 0.1})
    assert str(find_other_meaning([run, smooth], "loss/val")).endswith("another loss.label_smoothing: 0.0, 0.1")


def test_the_page_of_a_folder_lists_what_is_below_it(place: Path, tmp_path: Path):
    shutil.copytree(place, tmp_path / "all")
    (tmp_path / "all/runs/slow").rename(tmp_path / "all/runs/a=1 & more")
    (tmp_path / "all/runs/a=1 & more/report.html").touch()
    done = exp_in(tmp_path, "report", "all")
    assert (done.returncode, done.stdout) == (0, "all/report.html\n"), done.stderr
    page = (tmp_path / "all/report.html").read_text()
    assert '<a href="runs/a%3D1%20%26%20more/report.html">runs/a=1 &amp; more</a>' in page
    assert "<td>runs/fast</td>" in page
    assert "<h1>all: runs and sweeps (4)</h1>" in page
    assert "http" not in page
    assert exp_in(tmp_path, "ls", "all").stdout.count("\n") == 5  # the page is no run
