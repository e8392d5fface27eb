"""Every command of the documentation is run, page by page, and prints what the page shows."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import config_of, images_of_digits, one_in
from making.options import Option, group_names, read_options
from reading import CHECKOUT, Block, Reader, blocks, differences, pages, parse
from sklearn.datasets import load_iris

from exp.training.build import build
from exp.training.events import Evaluated
from exp.training.loop import Training

ROOT = Path(__file__).parents[2]
OPTIONS = [option for group in group_names() for option in read_options(group)]
OF_OPTIONS = {f"options/{group}.md" for group in group_names()}
PAGES = [page for page in pages() if page not in OF_OPTIONS and blocks(page)]

# Libraries that tests/docs/test_coming_from.py compares with.
OTHERS = ("lightning", "keras", "skorch")
# What a block may need that a test does not have.
NEEDS = {
    CHECKOUT,
    *(
        f"needs {what}"
        for what in ("a browser", "a cluster", "a database", "a folder that stays", "your Ctrl-C", *OTHERS)
    ),
}
# Options for another machine, or a package that is not installed, which are only composed.
ELSEWHERE = {"openml", "cuda", "mps", "mlflow", "wandb", "trackio"}


def test_the_runs_of_the_first_page_print_what_it_shows(tmp_path: Path):
    """Without its sweep, whose workers import torch; tests/sweeps tests the tables that sweeps print."""
    page = blocks("index.md")
    runs = [block for block in page if " -m exp -m " not in block.text]
    assert len(runs) == len(page) - 1
    assert (difference := Reader(tmp_path).difference(runs)) is None, difference


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_print_what_it_shows(page: str, tmp_path: Path):
    assert (difference := Reader(tmp_path).difference(blocks(page))) is None, difference


def test_a_wrong_number_on_a_page_is_found(tmp_path: Path):
    right = "```bash\necho loss 1.5 rows 100\n```\n\nWhich prints:\n\n```text\nloss 1.5 rows 100\n```\n"
    wrong = right.replace("```text\nloss 1.5", "```text\nloss 1.6")
    assert Reader(tmp_path).difference(parse(right)) is None
    assert "loss 1.6" in (Reader(tmp_path).difference(parse(wrong)) or "")


def test_pages_show_output_to_compare():
    shown = {page: sum(len(block.printed) for block in blocks(page) if block.needs is None) for page in PAGES}
    assert [page for page, count in shown.items() if page.startswith("how-to/") and count == 0] == []


def is_plain(option: Option) -> bool:
    """Whether its commands only choose the option, which tests/config/test_every_yaml.py trains too."""
    return all(line == f"python -m exp {option.group}={option.name}" for line in option.commands)


@pytest.mark.parametrize(
    "option",
    one_in(2, [pytest.param(one, marks=pytest.mark.slow) if is_plain(one) else one for one in OPTIONS]),
    ids=lambda option: f"{option.group}={option.name}",
)
def test_an_options_command_runs_for_an_epoch(option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with_files(tmp_path)
    assert option.commands
    for line in option.commands:
        python, flag, module, *arguments = shlex.split(line)
        assert (python, flag, module) == ("python", "-m", "exp")
        config = config_of(*arguments, "epochs=1")
        if option.name not in ELSEWHERE:
            experiment = build(config)
            *_, last = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
            assert isinstance(last, Evaluated)


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: f"{option.group}={option.name}")
def test_an_options_command_runs_unchanged(option, tmp_path: Path):
    with_files(tmp_path)
    for line in option.commands if option.name not in ELSEWHERE else ():
        Reader(tmp_path).do(Block("bash", "", line))


def test_a_block_that_is_not_run_says_what_it_needs():
    assert {block.needs for page in pages() for block in blocks(page)} == {None, *NEEDS}


def test_commands_for_the_checkout_name_existing_files():
    makefile = (ROOT / "Makefile").read_text()
    for line in (line for page in PAGES for block in blocks(page) if block.needs == CHECKOUT for line in block.lines):
        if match := re.fullmatch(r"make (\w+)(?: ARGS=.+)?", line):
            assert f"\n{match[1]}: " in makefile
        elif match := re.fullmatch(r"python (?:-m pytest )?((?:(?:tests|benchmarks)/\S+ ?)+)", line):
            assert [path for path in match[1].split() if not (ROOT / path).exists()] == []
        elif match := re.fullmatch(r"python (benchmarks/\S+) tables\b.*", line):
            assert (ROOT / match[1]).exists()
        elif match := re.fullmatch(r"\.venv/bin/pip install (-c constraints\.txt) (-e \"\.\[dev\]\")", line):
            assert [words for words in match.groups() if words not in makefile] == []
        else:
            assert line in ("python3 -m venv .venv", "source .venv/bin/activate")


def test_every_code_block_names_its_file():
    every = [(page, block) for page in pages() for block in blocks(page)]
    assert {block.language for _, block in every} <= {"bash", "python", "yaml"}
    for page, text in pages().items():
        assert re.findall(r"^```(?:python|yaml|console|sh|shell)\s*$", text, re.MULTILINE) == [], page


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        ("a 1.234\n", "a 1.2341\n", True),
        ("a 1.234\n", "a 1.3\n", False),
        ("a\n...\nc\n", "a\nb\nb\nc\n", True),
        ("a\nc\n", "a\nb\nc\n", False),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "a\nb\n", True),
        ("in 0.1 s, outputs/2026-11-21/19-56-48-767697\n", "in 2 s, outputs/2027-01-01/00-00-00-000001\n", True),
        ("700 steps\n", "701 steps\n", False),
        ("1,000 rows\n", "1,001 rows\n", False),
        ("job lr acc seconds\n0 0.1 9.5 % 0.5\n", "job lr acc seconds\n0 0.1 9.5 % 12\n", True),
        ("job lr acc seconds\n0 0.1 9.5 % 0.5\n", "job lr acc seconds\n0 0.1 9.9 % 0.5\n", False),
        ("job lr seconds\n0 0.1 0.5\n1 1.0 0.5\n", "job lr seconds\n0 0.1 0.7\n1 2.0 0.7\n", False),
        ("job seconds\n0 0.5\nfolder a\nbest 0.5\n", "job seconds\n0 0.7\nfolder a\nbest 0.7\n", False),
        ("4 of 12 done, 0 failed, 1 running\nmean 0.5\n", "mean 0.5\n", True),
        ("4 of 12 done, 0 failed, 1 running\nmean 0.5\n", "11 of 12 done, 0 failed\nmean 0.6\n", False),
    ],
)
def test_output_is_compared_with_the_page(shown: str, printed: str, alike: bool):
    assert (differences(shown, printed) is None) == alike


def with_files(folder: Path) -> None:
    """Write the files that the commands of the options name."""
    iris = load_iris(as_frame=True)
    iris.frame.rename(columns={"target": "label"}).to_csv(folder / "my.csv", index=False)
    np.savez(folder / "my.npz", x=iris.data, y=iris.target)
    images_of_digits(folder / "my_images")
