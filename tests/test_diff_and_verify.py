"""Where two runs part, and the proof that resuming loses nothing, as commands."""

from pathlib import Path

import forking
import pytest


def told(module: str, folder: Path, *words: str) -> tuple[int, str]:
    done = forking.run(f"exp.{module}", list(words), folder)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    line = ["dataset=iris", "log_every=1", "figures=false", "seed=0", "optimizer.lr=0.02", "epochs=2"]
    others = {"a": [], "same": [], "longer": ["epochs=4"], "wide": ["model.hidden=[11]"]}
    others |= {"lr": ["optimizer.lr=0.03"], "seed": ["seed=1"]}
    for name, words in others.items():
        assert forking.run("exp", [*line, *words, f"hydra.run.dir={name}"], folder).returncode == 0
    return folder


def test_two_runs_of_the_same(runs: Path):
    assert told("diff", runs, "a", "same") == (0, "identical: every metric and every parameter, to the bit\n")


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
def test_where_two_runs_part(runs: Path, other: str, said: list[str]):
    code, text = told("diff", runs, "a", other)
    assert code == 1
    assert all(part in text for part in said), text


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        ("diff", ["a"], "diff takes RUN OTHER\n  try: python -m exp diff a OTHER"),
        ("diff", ["a", "nowhere"], "nowhere does not contain a run"),
        ("verify", ["a"], "try: python -m exp verify resume=a"),
        ("verify", ["resume=nowhere"], "nowhere does not contain a run"),
        ("verify", ["resume=a", "epochs=3"], "epochs=3: verify takes resume= kills= seed="),
        pytest.param("verify", ["resume=a"], "no kill happened during training, so nothing", marks=pytest.mark.slow),
    ],
)
def test_what_was_typed_wrong(runs: Path, module: str, words: list[str], said: str):
    code, text = told(module, runs, *words)
    assert code == 1
    assert said in text
    assert "Traceback" not in text


@pytest.mark.slow
def test_verify_kills_resumes_and_compares(runs: Path):
    line = ["dataset=iris", "epochs=1500", "model.dropout=0.1", "figures=false", "hydra.run.dir=long"]
    assert forking.run("exp", line, runs).returncode == 0
    code, text = told("verify", runs, "resume=long", "kills=2")
    assert code == 0, text
    assert "kill 1: " in text
    assert text.endswith("identical to the bit: every metric and every parameter\n")
