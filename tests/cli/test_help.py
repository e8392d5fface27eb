"""`exp --help` fits one screen and lists every group and option, `--help TOPIC` explains one; `--version` is exp's."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import version

import forking
import pytest
from conftest import one_in

from exp.cli.command_help import help_of
from exp.cli.command_line import CommandLine
from exp.cli.commands import COMMANDS, load, parse_arguments
from exp.cli.diagnosis import check_line
from exp.cli.help import help_text
from exp.cli.topics import read_topics, topic_names
from exp.config.schema import CONF
from exp.errors import ConfigError


def lines_of(exp, *arguments: str) -> list[str]:
    done = exp(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("columns", [80, 100])
def test_help_fits_one_screen(exp, monkeypatch: pytest.MonkeyPatch, columns: int):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = lines_of(exp, "--help")
    assert len(lines) <= 50
    assert max(map(len, lines)) <= columns
    for word in ("--json", "-m seed=0,1,2", "hydra.run.dir=", "hydra.sweep.dir="):
        assert word in "\n".join(lines)
    assert any(line.split() == topic_names() for line in lines)


def test_help_lists_every_group_option_and_command(exp):
    text = "\n".join(lines_of(exp, "-h"))
    groups = [path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"]
    for group in groups:
        assert f"\n  {group.name} " in text
        for option in group.glob("*.yaml"):
            assert option.stem in text
    for command in COMMANDS:
        assert re.search(rf"^  (tag |mv |cache |schema )*{command} ", text, re.MULTILINE)


def test_help_describes_the_common_keys(exp):
    lines = lines_of(exp, "--help")
    keys = [line.split(maxsplit=1) for line in lines if line.startswith("  ") and "=" in line.split()[0]]
    assert len(keys) == 9
    assert all(len(key) == 2 for key in keys)


def test_a_group_is_explained_from_its_files(exp):
    text = "\n".join(lines_of(exp, "--help", "optimizer"))
    for path in (CONF / "optimizer").glob("*.yaml"):
        assert f"optimizer={path.stem} " in text
    assert "optimizer.lr=0.02" in text
    assert "learning rate" in text
    assert "a number > 0" in text
    assert "with adam, adamax, adamw, nadam, radam" in " ".join(text.split())  # the options with betas
    assert lines_of(exp, "optimizer", "--help") == lines_of(exp, "--help", "optimizer")


@pytest.mark.parametrize(
    ("topic", "first"),
    [
        ("optimizer=adam", "optimizer=adam: "),
        pytest.param("optimizer.lr", "  optimizer.lr=0.02 ", marks=pytest.mark.slow),
        ("split", "Which rows "),
        ("weight_decay", "  optimizer.weight_decay="),
        ("seed", "  seed=0 "),
        pytest.param("sgd", "optimizer=sgd: ", marks=pytest.mark.slow),
        pytest.param("dataset=table", "dataset=table: ", marks=pytest.mark.slow),
        pytest.param("hydra/sweeper", "hydra/sweeper: ", marks=pytest.mark.slow),
        pytest.param(
            "predict",
            "usage: python -m exp predict run=FOLDER data=new.csv out=predictions.csv",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_topic_is_explained(exp, topic: str, first: str):
    assert lines_of(exp, "--help", topic)[0].startswith(first)


def test_a_key_is_explained_with_the_default_of_each_option(exp):
    text = "\n".join(lines_of(exp, "--help", "optimizer.eps"))
    assert "1e-10 with optimizer: adagrad\n" in text
    assert "1e-08 with optimizer: adam, adamax, adamw" in text


def test_help_lists_the_users_options_too(exp, tmp_path):
    path = tmp_path / "mine/optimizer/slow.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# A slow one.\n_target_: torch.optim.SGD\nlr: 1e-9   # the step\n")
    text = "\n".join(lines_of(exp, "--config-dir", "mine", "--help", "optimizer"))
    assert "optimizer=slow              A slow one." in text


def test_an_unknown_topic_is_an_error(exp):
    done = exp("--help", "optimzer")
    assert done.returncode == 1
    assert done.stderr.endswith("  try: python -m exp --help optimizer\n")


def test_a_topic_of_another_name_is_named(exp):
    assert exp("--help", "tune").stderr.endswith("  try: python -m exp --help search\n")


@pytest.mark.parametrize("topic", read_topics())
def test_the_commands_of_a_topic_are_right(topic: str):
    for example in read_topics()[topic]["examples"]:
        words = shlex.split(example.removeprefix("python -m exp "))
        if words[0] in COMMANDS:
            parse_arguments(load(words[0]), words[1:])
        elif not any("FOLDER" in word for word in words):
            check_line(CommandLine.parse(words))
    for other in read_topics()[topic]["see"].split(", "):
        assert help_text(CommandLine(overrides=(other,)))


def test_version_prints_the_version_of_exp(exp):
    assert lines_of(exp, "--version")[0].startswith(f"exp {version('exp')} (torch {version('torch')}")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_an_answer_to_an_unknown_argument(command: str):
    function = load(command)
    assert help_of(function).startswith(f"usage: python -m exp {command}")
    with pytest.raises(ConfigError) as error:
        parse_arguments(function, ["--ys=true"])
    assert f"python -m exp {command}" in error.value.fix


def test_an_unknown_argument_leaves_the_action_in_the_corrected_line():
    with pytest.raises(ConfigError) as error:
        parse_arguments(load("cache"), ["clear", "ys=true"])
    assert error.value.fix == "python -m exp cache clear --yes"


@pytest.mark.parametrize("command", one_in(6, COMMANDS))
def test_a_command_has_help_as_subcommand_and_as_module(command: str, tmp_path):
    as_subcommand = forking.run("exp", [command, "-h"], tmp_path)
    as_module = forking.run(f"exp.{command}", ["--help"], tmp_path)
    assert as_subcommand.returncode == as_module.returncode == 0
    assert as_subcommand.stdout == as_module.stdout
    assert as_subcommand.stdout.startswith(f"usage: python -m exp {command} ")
    assert max(map(len, as_subcommand.stdout.splitlines())) <= 120


def test_a_closed_pipe_is_not_an_error(tmp_path):
    line = f"{sys.executable} -m exp --cfg job | true"
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert "exp:" not in done.stderr
