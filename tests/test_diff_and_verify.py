"""`exp diff` shows where two runs differ, and `exp verify` checks that resuming loses nothing."""

import math
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import forking
import pytest

from exp import train
from exp.results import checkpoints
from exp.results.compare_runs import compare_runs, find_differences
from exp.verify import was_killed


def run_tool(module: str, folder: Path, *arguments: str) -> tuple[int, str]:
    done = forking.run(f"exp.{module}", list(arguments), folder)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    values = {"seed": "0", "optimizer.lr": "0.02", "epochs": "2"}
    others = {"a": {}, "same": {}, "longer": {"epochs": "4"}, "wide": {"model.hidden": "[11]"}}
    others |= {"lr": {"optimizer.lr": "0.03"}, "seed": {"seed": "1"}}
    for name, changes in others.items():
        line = [f"{key}={value}" for key, value in {**values, **changes, "hydra.run.dir": name}.items()]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            train("dataset=iris", "log_every=1", "figures=false", *line)
    # As on a machine whose step takes 1 ms: how long a run takes is not of this test.
    table = folder / "a/metrics.csv"
    names, *lines = (line.split(",") for line in table.read_text().splitlines())
    step, seconds = names.index("step"), names.index("seconds")
    for line in lines:
        line[seconds] = str(0.03 + 0.001 * int(line[step]))
    table.write_text("\n".join([*map(",".join, [names, *lines]), ""]))
    return folder


def test_runs_with_the_same_config_are_identical(runs: Path):
    assert run_tool("diff", runs, "a", "same") == (0, "identical: every metric and every parameter, to the bit\n")


def test_diff_shows_a_metric_that_only_one_run_has(xor_run: Path, tmp_path: Path):
    shutil.copytree(xor_run, tmp_path / "other")
    lines = (tmp_path / "other/metrics.csv").read_text().splitlines()
    more = [f"{lines[0]},f1", *(f"{line},0.5" for line in lines[1:])]
    (tmp_path / "other/metrics.csv").write_text("\n".join([*more, ""]))
    assert list(find_differences(xor_run, tmp_path / "other")) == [("metrics", "first at step 0, val: f1 None | 0.5")]
    assert list(find_differences(tmp_path / "other", xor_run)) == [("metrics", "first at step 0, val: f1 0.5 | None")]


def test_a_metric_that_is_not_a_number_in_both_runs_is_the_same(xor_run: Path, tmp_path: Path):
    for name in "ab":
        shutil.copytree(xor_run, tmp_path / name)
        lines = (tmp_path / name / "metrics.csv").read_text().splitlines()
        more = [f"{lines[0]},own", f"{lines[1]},nan", *(f"{line},0.5" for line in lines[2:])]
        (tmp_path / name / "metrics.csv").write_text("\n".join([*more, ""]))
    assert list(find_differences(tmp_path / "a", tmp_path / "b")) == []
    path = tmp_path / "b/metrics.csv"
    path.write_text(path.read_text().replace("nan", "0.5"))
    said = [("metrics", "first at step 0, val: own nan | 0.5")]
    assert list(find_differences(tmp_path / "a", tmp_path / "b")) == said


def test_parameters_of_a_type_that_numpy_does_not_have_are_compared(xor_run: Path, tmp_path: Path):
    for name, more in (("a", 0.0), ("b", 1.0)):
        shutil.copytree(xor_run, tmp_path / name)
        path = tmp_path / name / "checkpoints/last.pt"
        state = checkpoints.read(path)
        state["model"] = {key: (0 * value + more).bfloat16() for key, value in state["model"].items()}
        checkpoints.write(path, state)
        (tmp_path / name / "checkpoints/best.pt").unlink(missing_ok=True)
    assert list(find_differences(tmp_path / "a", tmp_path / "a")) == []
    found = list(find_differences(tmp_path / "a", tmp_path / "b"))
    assert len(found) == len(state["model"])
    assert all(what.endswith(": up to 1 apart") for _, what in found)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            "lr",
            [
                "config     optimizer.lr: 0.02 | 0.03",
                "metrics    first at step 2, train: loss ",
                "last.pt: 0.weight: up to",
            ],
        ),
        ("seed", ["config     seed: 0 | 1", "metrics    first at step 0, val: "]),
        ("longer", ["config     epochs: 2 | 4", "continues"]),
        ("wide", ["config     model.hidden: [10] | [11]", "parameters last.pt: other names or shapes"]),
    ],
)
def test_diff_shows_where_two_runs_differ(runs: Path, other: str, said: list[str]):
    code, text = run_tool("diff", runs, "a", other)
    assert code == 1
    assert all(part in text for part in said), text


def test_a_difference_has_its_key_and_both_values(runs: Path):
    found = list(compare_runs(runs / "a", runs / "lr"))
    assert [(one.key, one.a, one.b) for one in found if one.kind == "config"] == [("optimizer.lr", 0.02, 0.03)]
    parameters = {one.key for one in found if one.kind == "parameters"}
    assert parameters == {"0.weight", "0.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        ("diff", ["a"], "diff takes RUN OTHER --json\n  try: python -m exp diff a OTHER"),
        ("diff", ["a", "nowhere"], "nowhere does not contain a run"),
        ("verify", ["a"], "s, too short to be killed during training\n  try: a longer run, which you can verify: "),
        ("verify", ["resume=nowhere"], "nowhere does not contain a run"),
        ("verify", ["resume=a", "epochs=3"], "epochs=3: verify takes resume= kills= seed="),
        (
            "verify",
            ["resume=a"],
            "s, too short to be killed during training\n  try: a longer run, which you can verify: ",
        ),
    ],
)
def test_wrong_arguments_are_errors(runs: Path, module: str, words: list[str], said: str):
    code, text = run_tool(module, runs, *words)
    assert code == 1
    assert said in text
    assert "Traceback" not in text


def test_verify_shows_a_command_that_trains_longer(runs: Path):
    _, text = run_tool("verify", runs, "resume=a")
    *words, epochs = shlex.split(text.rpartition(": ")[2])
    assert words[:4] == ["python", "-m", "exp", "dataset=iris"]
    assert "optimizer.lr=0.02" in words
    assert "epochs=2" not in words
    assert int(epochs.removeprefix("epochs=")) == math.ceil(5 / (0.001 * 9))  # 5 s of epochs of 9 steps


def test_verify_reports_a_run_that_fails_before_it_is_killed():
    assert was_killed([sys.executable, "-c", "import time; time.sleep(60)"], lambda: True, after=0.1)
    assert not was_killed([sys.executable, "-c", ""], lambda: False, after=60)
    with pytest.raises(subprocess.CalledProcessError):
        was_killed([sys.executable, "-c", "raise SystemExit(3)"], lambda: False, after=60)


@pytest.mark.slow
def test_verify_kills_resumes_and_compares(runs: Path):
    line = ["dataset=iris", "epochs=5000", "model.dropout=0.1", "figures=false", "hydra.run.dir=long"]
    assert forking.run("exp", line, runs).returncode == 0
    code, text = run_tool("verify", runs, "resume=long", "kills=2")
    assert code == 0, text
    assert "kill 1: " in text
    assert text.endswith("identical to the bit: every metric and every parameter\n")


def test_a_compiled_run_is_equal_up_to_rounding(xor_run: Path, tmp_path: Path):
    """A run of engine=compiled whose metrics differ in the seventh digit is told from one that learned otherwise.

    Keys that change no number, such as figures, may differ too.
    """
    for name, factor in (("near", 1 + 1e-7), ("far", 1.01)):
        shutil.copytree(xor_run, tmp_path / name)
        config = tmp_path / name / ".hydra/config.yaml"
        text = config.read_text().replace("engine: auto", "engine: compiled").replace("watch: false", "watch: true")
        config.write_text(text)
        table = tmp_path / name / "metrics.csv"
        names, *lines = table.read_text().splitlines()
        place = names.split(",").index("loss")
        rows = [line.split(",") for line in lines]
        rows[-1][place] = repr(float(rows[-1][place]) * factor)
        table.write_text("\n".join([names, *map(",".join, rows), ""]))
    near, far = (list(find_differences(xor_run, tmp_path / name)) for name in ("near", "far"))
    said = "equal up to rounding, as engine=compiled allows: at most 1.0e-07 of a value apart"
    assert near == [("config", "engine: auto | compiled"), ("config", "watch: false | true"), ("metrics", said)]
    assert far[2][1].startswith("first at step ")
