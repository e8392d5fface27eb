"""Every pattern of exp.config.hydra_messages matches a message of the installed Hydra or OmegaConf."""

import re
import shlex
from pathlib import Path

import pytest

from exp.cli.command_line import CommandLine
from exp.cli.diagnosis import check_line
from exp.cli.explain import EXPLANATIONS
from exp.config import hydra_messages
from exp.sweeps.jobs import InvalidJob

# The pattern, a command line that causes the message, and what the pattern captures. {conf}: a folder of YAMLs.
MESSAGES = [
    ("NO_GROUP_OPTION", "dataset=cancr", ("dataset/cancr",)),
    ("VALUE_FOR_GROUP", "optimizer=null", ()),
    ("SEVERAL_VALUES", "model.hidden=64,64", ("model.hidden=64,64",)),
    ("SWEEP_WITHOUT_FLAG", "'seed=range(0,3)'", ("seed=range(0,3)",)),
    ("CANNOT_OVERRIDE", "optimizer.lrr=1", ("optimizer.lrr",)),
    ("CANNOT_DELETE", "~optimizer.lrr", ("optimizer.lrr",)),
    ("ALREADY_THERE", "+epochs=3", ("epochs",)),
    ("WRONG_VALUE", "seed=ten", ("seed=ten",)),
    ("WRONG_IN_FILE", "--config-dir {conf} experiment=unknown", ("Key 'optimiser' not in 'Config'", "optimiser")),
    ("CHOSEN_TWICE", "+experiment=xor_mse", ("experiment",)),
    ("APPEND_ADVICE", "optimizer.lrr=1", ()),
    ("UNKNOWN_INTERPOLATION", "'epochs=${nope}'", ("nope",)),
]


def message_of(line: str, conf: Path) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        check_line(CommandLine.parse(shlex.split(line.replace("{conf}", str(conf)))))
    error = caught.value.reason if isinstance(caught.value, InvalidJob) else caught.value
    return str(error)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for name, text in {"unknown": "optimiser: {lr: 3}", "wrong": "seed: many"}.items():
        path = tmp_path / "conf/experiment" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# @package _global_\n{text}\n")
    return tmp_path / "conf"


@pytest.mark.parametrize(("name", "line", "captured"), MESSAGES, ids=[name for name, _, _ in MESSAGES])
def test_a_pattern_matches_its_message(name: str, line: str, captured: tuple[str, ...], conf: Path):
    match = getattr(hydra_messages, name).search(message_of(line, conf))
    assert match is not None
    assert match.groups() == captured


@pytest.mark.parametrize(
    ("name", "line", "captured"),
    [("UNKNOWN_KEY_IN_FILE", "unknown", ()), ("WRONG_VALUE_IN_FILE", "wrong", ("many",))],
    ids=["unknown", "wrong"],
)
def test_a_pattern_for_files_matches_the_captured_message(name: str, line: str, captured: tuple[str, ...], conf: Path):
    inside = hydra_messages.WRONG_IN_FILE.search(message_of(f"--config-dir {{conf}} experiment={line}", conf))
    assert inside is not None
    match = getattr(hydra_messages, name).match(inside[1])
    assert match is not None
    assert match.groups() == captured


def test_patterns_match_the_messages_of_a_whole_run(exp):
    """Hydra prints this only in a whole run: an interval in a sweep without a search."""
    stderr = exp("-m", "epochs=interval(1,2)", HYDRA_FULL_ERROR="1").stderr
    assert hydra_messages.SEARCH_ONLY.search(stderr)


def test_every_pattern_is_tested_here():
    patterns = {name for name, value in vars(hydra_messages).items() if isinstance(value, re.Pattern)}
    of_a_file = {"UNKNOWN_KEY_IN_FILE", "WRONG_VALUE_IN_FILE"}
    assert patterns == {name for name, _, _ in MESSAGES} | of_a_file | {"SEARCH_ONLY"}
    assert {id(pattern) for pattern, _ in EXPLANATIONS} <= {id(getattr(hydra_messages, name)) for name in patterns}
