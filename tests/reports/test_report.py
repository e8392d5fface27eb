"""report.html of runs and sweeps: it shows what their files contain, and it needs no network."""

import csv
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import forking
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from exp import train
from exp.reports import run_report, sweep_report
from exp.reports.render import render
from exp.reports.scatter import Point, scatter


class Page(HTMLParser):
    """The tables under each heading as rows of texts, all text, and the references of the page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self.references: list[str] = []
        self._heading = ""
        self._cell: list[str] | None = None
        self._in_heading = False
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag == "h2":
            self._in_heading, self._heading = True, ""
        elif tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag):
        if tag == "h2":
            self._in_heading = False
        elif tag in ("td", "th"):
            self.tables[self._heading][-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data):
        self.text += data
        if self._in_heading:
            self._heading += data
        if self._cell is not None:
            self._cell.append(data)


def is_self_contained(page: Page, folder: Path) -> bool:
    """Whether everything that the page refers to is in it or in its folder."""
    return all(one.startswith("data:image/png;base64,") or (folder / one).exists() for one in page.references)


def report(folder: Path, run: str) -> subprocess.CompletedProcess[str]:
    return forking.run("exp.report", [f"run={run}"], folder)


def test_a_runs_page_shows_what_its_files_contain(exp, tmp_path: Path):
    done = exp("dataset=cancer", "epochs=3", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "report    run/report.html"
    page = Page(tmp_path / "run/report.html")
    assert is_self_contained(page, tmp_path / "run")
    assert "python -m exp dataset=cancer epochs=3" in page.text
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    head, *shown = page.tables["Metrics"]
    assert head == ["", "loss", "accuracy", "rows"]
    assert [row[0] for row in shown] == ["train", "val", "test", "always benign"]
    for name, loss, accuracy, _ in shown[:2]:
        final = summary["final"][name]
        assert (loss, accuracy) == (f"{final['loss']:.4g}", f"{100 * final['accuracy']:.2f} %")
    final, (_, loss, accuracy, rows) = summary["final"]["test"], shown[2]
    assert loss.startswith(f"{final['loss']:.4g} [")
    share = stats.binomtest(round(final["accuracy"] * int(rows)), int(rows)).proportion_ci(0.95, method="wilson")
    assert accuracy == f"{100 * final['accuracy']:.2f} % [{100 * share.low:.2f}, {100 * share.high:.2f}]"
    assert shown[3][2:] == [f"{100 * 70 / 115:.2f} %", "115"]
    with (tmp_path / "run/metrics.csv").open() as file:
        val = [(float(row["loss"]), row["step"]) for row in csv.DictReader(file) if row["split"] == "val"]
    assert "the lowest validation loss was {:.4g}, at step {}.".format(*min(val)) in page.text
    assert page.tables["Configuration"][0][0] == "data"
    assert page.text.count(summary["environment"]["cpu"]) >= 2
    assert len([one for one in page.references if one.startswith("data:")]) == 3
    assert dict(row[:1] + row[-1:] for row in page.tables["Metrics by class (test split)"][1:]) == {
        "malignant": "45",
        "benign": "70",
    }
    assert len(page.tables["Hardest rows (test split)"]) == 11


def test_the_hardest_rows_are_numbered_as_in_the_file(exp, tmp_path: Path):
    """A row's number is its line after the file's header, even if rows with empty cells were dropped."""
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"size": draw.normal(50, 10, 120), "colour": draw.choice(["red", "blue"], 120)})
    table["price"] = 3.0 * table["size"] + 20 * (table["colour"] == "red") + draw.normal(0, 1, 120)
    table.loc[[0, 5, 7, 40], "size"] = np.nan
    table.loc[60, "price"] = 9999.0
    table.to_csv(tmp_path / "houses.csv", index=False)
    line = (
        "dataset=table dataset.path=houses.csv dataset.target=price dataset.missing=drop loss=mse optimizer.lr=0.0001"
    )
    split = "'dataset.split=[.1,.1,.8]'".strip("'")
    done = exp(*line.split(), split, "epochs=5", "preflight=off", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    head, *rows = Page(tmp_path / "run/report.html").tables["Hardest rows (test split)"]
    assert head[3] == "error"
    assert rows[0][:2] == ["61", "9999"]
    for number, true, *_, about in rows:
        in_file = table.iloc[int(number) - 1]
        assert true == f"{in_file['price']:.6g}"
        if found := re.search(r"size=([\d.]+)", about):
            assert float(found[1]) == pytest.approx(in_file["size"], rel=1e-3)
        if found := re.search(r"colour=(\w+)", about):
            assert found[1] == in_file["colour"]


def test_names_from_a_file_are_escaped(exp, tmp_path: Path):
    draw = np.random.default_rng(0)
    names = ("<img src=x onerror=alert(1)>", "<script>", '"><b>')
    table = pd.DataFrame({name: draw.normal(size=60) for name in names} | {"y": ["<script>a</script>", "b&"] * 30})
    table.loc[0] = [50.0, 50.0, 50.0, "b&"]  # unusual values, so that the page names their columns
    table.to_csv(tmp_path / "odd.csv", index=False)
    done = exp("dataset=table", "dataset.path=odd.csv", "dataset.target=y", "epochs=1", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "run/report.html").read_text()
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert page.count("<script>") == 1  # that of the page
    assert "&lt;script&gt;a&lt;/script&gt;" in page


def test_values_are_escaped_in_every_template(tmp_path: Path):
    hostile = """<script>'"&"""
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / f"{hostile}.png".replace("/", "")).write_bytes(b"x")
    summary = {"status": hostile, "final": {"test": {hostile: 1.0}}}
    assert "<script>" not in run_report.render_cell(hostile, summary, tmp_path / "figures")
    row = {"job": hostile, "status": "finished", "seed": hostile, "loss/val": 1.0, "error": hostile}
    sweep_report.write_page(tmp_path, [row, {**row, "seed": 2, hostile: 1}, {**row, "seed": 3, hostile: 2}])
    page = Page(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count("<script>") == 1
    assert page.tables["Failures"][1] == [hostile, "finished", hostile]
    assert page.text.count(hostile) > 10
    assert (tmp_path / "report.html").read_text().count("<circle") == 3


def test_report_writes_the_page_of_a_run_without_figures(exp, tmp_path: Path):
    done = exp("dataset=moons", "epochs=2", "figures=false", "hydra.run.dir=run")
    assert not (tmp_path / "run/report.html").exists()
    assert "report" not in done.stdout
    asked = report(tmp_path, "run")
    assert (asked.stdout, asked.stderr, asked.returncode) == ("run/report.html\n", "", 0)
    page = Page(tmp_path / "run/report.html")
    assert is_self_contained(page, tmp_path / "run")
    final = json.loads((tmp_path / "run/summary.json").read_text())["final"]["test"]
    assert page.tables["Metrics"][3][1].startswith(f"{final['loss']:.4g} [")
    assert {path.stem for path in (tmp_path / "run/figures").iterdir()} == {
        "learning_curves",
        "confusion_matrix",
        "scores",
        "decision_surface",
    }


def test_of_equal_metrics_the_page_names_the_step_of_the_best_checkpoint(tmp_path: Path):
    equal = ["metric=accuracy", "early_stopping.on_tie=last", "optimizer.lr=1e-9", "figures=false"]
    run = train("dataset=moons", "epochs=2", *equal, f"hydra.run.dir={tmp_path}/run")
    step = run.best.trained.step
    assert step == run.summary["steps"] > 0
    run_report.write_page(run.folder, run.trained.experiment, "finished")
    assert f", at step {step}." in Page(run.folder / "report.html").text


def test_report_writes_the_page_of_a_diverged_run(exp, tmp_path: Path):
    done = exp("dataset=diabetes", "optimizer.lr=1e6", "preflight=off", "hydra.run.dir=run")
    assert done.returncode == 1
    again = exp("dataset=diabetes", "hydra.run.dir=run")
    assert again.stderr.endswith("already contains a run\n  try: hydra.run.dir=ANOTHER_FOLDER\n")
    asked = report(tmp_path, "run")
    assert asked.returncode == 0, asked.stderr
    assert "last.pt does not exist" in asked.stdout
    refused = forking.run("exp", ["importance", "run=run"], tmp_path)
    assert refused.stderr.endswith("last.pt does not exist\n  try: checkpoint=best\n")
    shutil.rmtree(tmp_path / "run/checkpoints")
    refused = forking.run("exp", ["importance", "run=run"], tmp_path)
    assert refused.stderr.endswith("last.pt does not exist\n  try: a new run with a smaller optimizer.lr\n")
    page = Page(tmp_path / "run/report.html")
    assert re.search(r"diverged: the training loss became \S+ at step \d+\s+try: ", page.text)
    assert "without the model's results" in page.text
    assert [row[0] for row in page.tables["Configuration"]][:2] == ["data", "model"]
    assert len([one for one in page.references if one.startswith("data:")]) == 1  # the learning curves


def test_a_complete_page_is_not_replaced_by_an_incomplete_one(exp, tmp_path: Path):
    """If the rows have changed or are missing, the page with their results is kept."""
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"size": draw.normal(size=60), "kind": ["a", "b"] * 30})
    table.to_csv(tmp_path / "rows.csv", index=False)
    line = ["dataset=table", "dataset.path=rows.csv", "dataset.target=kind", "epochs=2", "hydra.run.dir=run"]
    assert exp(*line).returncode == 0
    whole = (tmp_path / "run/report.html").read_text()
    table[1:].to_csv(tmp_path / "rows.csv", index=False)
    refused = report(tmp_path, "run")
    assert refused.returncode == 1
    assert "the rows differ from those that run was trained on" in refused.stderr
    (tmp_path / "rows.csv").unlink()
    refused = report(tmp_path, "run")
    assert "cannot load the rows of run" in refused.stderr
    assert "try: dataset.path=NEW, where the file is now" in refused.stderr
    assert (tmp_path / "run/report.html").read_text() == whole
    (tmp_path / "run/report.html").unlink()
    assert report(tmp_path, "run").returncode == 0
    page = Page(tmp_path / "run/report.html")
    final = json.loads((tmp_path / "run/summary.json").read_text())["final"]["test"]
    assert ["test", f"{final['loss']:.4g}", f"{100 * final['accuracy']:.2f} %"] in page.tables["Metrics"]


@pytest.mark.slow
def test_the_page_shows_the_notes_and_a_command_that_repeats_the_run(exp, tmp_path: Path):
    done = exp("dataset=wine", "dataset.scaler=none", "optimizer.lr=1e-5", "epochs=4", "hydra.run.dir=run")
    notes = re.findall(r"^note +(.*)$", done.stdout, re.MULTILINE)
    assert notes
    assert all(note in Page(tmp_path / "run/report.html").text for note in notes)
    assert exp("resume=run", "epochs=6").returncode == 0
    page = Page(tmp_path / "run/report.html")
    (typed,) = re.findall(r"python -m exp (.*)\n", page.text)
    assert exp(*typed.split(), "hydra.run.dir=again").returncode == 0
    ours, theirs = (json.loads((tmp_path / run / "summary.json").read_text())["final"] for run in ("run", "again"))
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.parametrize("what", ["report.html", pytest.param("report.tmp", marks=pytest.mark.slow)])
def test_a_page_that_cannot_be_written_does_not_fail_the_sweep(exp, tmp_path: Path, what: str):
    (tmp_path / "sweep" / what / "in the way").mkdir(parents=True)
    done = exp(
        *"-m dataset=xor optimizer.lr=0.1,0.2 epochs=2 figures=false sweep.workers=0 hydra.sweep.dir=sweep".split()
    )
    assert done.returncode == 0, done.stderr
    assert "the sweep's page could not be written" in done.stdout
    assert (tmp_path / "sweep/sweep.csv").is_file()


def test_the_page_of_an_untrusted_run_shows_no_file_from_outside(xor_run: Path, tmp_path: Path):
    shutil.copytree(xor_run, tmp_path / "run")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "run/figures").mkdir()
    (tmp_path / "run/figures/x.png").symlink_to(tmp_path / "secret.txt")
    refused = report(tmp_path, "run")
    assert "is a link" in refused.stderr
    assert not (tmp_path / "run/report.html").exists()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param('{"described": {"a": [1]}, "final": {"test": [1], "val": {"loss": "x"}}}', marks=pytest.mark.slow),
        pytest.param('{"environment": [1], "overrides": [1], "choices": [1], "notes": 3}', marks=pytest.mark.slow),
        *(pytest.param(text, marks=pytest.mark.slow) for text in ("[]", "{")),
    ],
)
def test_a_damaged_summary_does_not_prevent_the_page(xor_run: Path, tmp_path: Path, damage: str):
    shutil.copytree(xor_run, tmp_path / "run")
    (tmp_path / "run/summary.json").write_text(damage)
    asked = report(tmp_path, "run")
    assert (asked.returncode, asked.stderr) == (0, "")


def test_report_of_a_missing_run_is_an_error(tmp_path: Path):
    asked = report(tmp_path, "nowhere")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "nowhere does not contain a run" in asked.stderr


@pytest.mark.slow
def test_a_sweeps_page_shows_its_table(exp, tmp_path: Path):
    line = "-m dataset=moons optimizer.lr=0.01,1e9 seed=0,1 epochs=2 hydra.sweep.dir=sweep"
    done = exp(*line.split(), "sweep.metric=accuracy/val", "loss=mse,cross_entropy", "sweep.workers=0")
    assert done.returncode == 1, done.stderr  # mse diverges with a learning rate of 1e9
    assert done.stdout.splitlines()[-1] == "report    sweep/report.html"
    page = Page(tmp_path / "sweep/report.html")
    assert is_self_contained(page, tmp_path / "sweep")
    with (tmp_path / "sweep/sweep.csv").open() as file:
        rows = {row["job"]: row for row in csv.DictReader(file)}
    head, *shown = page.tables["All jobs, sorted by accuracy/val"]
    assert {row[0] for row in shown} == set(rows)
    accuracies = []
    for cells in shown:
        row, cells = rows[cells[0]], dict(zip(head, cells, strict=True))
        assert [cells[name] for name in ("status", "optimizer.lr", "seed", "loss")] == [
            row[name] for name in ("status", "optimizer.lr", "seed", "loss")
        ]
        if row["status"] == "finished":
            accuracies.append(float(row["accuracy/val"]))
            assert cells["accuracy/val"] == f"{100 * accuracies[-1]:.2f} %"
    assert accuracies == sorted(accuracies, reverse=True)
    lasts = [rows[cells[0]]["status"] != "finished" for cells in shown]
    assert lasts == sorted(lasts)
    failed = {job: row["error"] for job, row in rows.items() if row["status"] != "finished"}
    assert {row[0]: row[2] for row in page.tables["Failures"][1:]} == failed
    finished = [job for job, row in rows.items() if row["status"] == "finished"]
    assert {f"{job}/report.html" for job in finished} <= set(page.references)
    svg = re.findall(r"<svg.*?</svg>", (tmp_path / "sweep/report.html").read_text(), re.DOTALL)
    assert len(svg) == 2  # for lr and for loss; the seeds are the scatter
    assert all(one.count("<circle") == len(finished) for one in svg)


def test_report_writes_the_page_of_a_sweep_again(exp, tmp_path: Path):
    assert (
        exp(
            *"-m dataset=xor optimizer.lr=0.1,0.2 epochs=2 figures=false sweep.workers=0 hydra.sweep.dir=sweep".split()
        ).returncode
        == 0
    )
    first = (tmp_path / "sweep/report.html").read_text()
    os.remove(tmp_path / "sweep/report.html")
    asked = report(tmp_path, "sweep")
    assert (asked.stdout, asked.stderr) == ("sweep/report.html\n", "")
    assert (tmp_path / "sweep/report.html").read_text() == first
    os.remove(tmp_path / "sweep/multirun.yaml")
    assert report(tmp_path, "sweep").returncode == 0
    assert "All jobs, sorted by loss/val" in Page(tmp_path / "sweep/report.html").text


def test_a_chart_places_numbers_by_value_and_text_in_order():
    def places(*choices: str) -> tuple[list[float], str]:
        points = [Point(choice, float(i), f"{i}/", f"job {i} <&>") for i, choice in enumerate(choices)]
        drawn = render("scatter.svg", chart=scatter("optimizer.lr", "loss/val", points))
        assert "job 0 &lt;&amp;&gt;: loss/val 0" in drawn
        assert [float(y) for y in re.findall(r'cy="([\d.]+)"', drawn)] == sorted(
            (float(y) for y in re.findall(r'cy="([\d.]+)"', drawn)), reverse=True
        )
        return [float(x) for x in re.findall(r'cx="([\d.]+)"', drawn)], drawn

    (ten, tenth, one), drawn = places("10", "0.1", "1")
    assert tenth < one < ten
    assert one - tenth == pytest.approx(ten - one, abs=0.2)
    assert "optimizer.lr (log)" in drawn
    (two, one, three), drawn = places("2", "1", "3")
    assert two - one == pytest.approx(three - two, abs=0.2)
    assert "(log)" not in drawn
    (tanh, relu, again), drawn = places("tanh", "relu", "tanh")
    assert tanh == again < relu
    assert len(places("1", "1", "1")[0]) == 3
