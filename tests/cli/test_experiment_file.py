"""`exp my.yaml`: a whole experiment in one file, read as a written command line; its mistakes name their line."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import forking
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from exp.cli.command_line import CommandLine
from exp.config.compose import compose_config
from exp.config.experiment_file import read_experiment
from exp.config.overrides import reads_as
from exp.config.schema import CONF
from exp.config.validation import validate
from exp.errors import ConfigError

MY = """\
# One-hidden-layer networks on iris.
dataset: iris
dataset.split: [0.5, 0.25, 0.25]
model: {hidden: [8, 8]}
optimizer: adam
optimizer.lr: 1e-2
epochs: 3
preflight: off
notes: first, second try
figures: false
sweep: {workers: 0}
"""
TYPED = [
    *("dataset=iris", "dataset.split=[0.5,0.25,0.25]", "model.hidden=[8,8]", "optimizer=adam", "optimizer.lr=0.01"),
    *("epochs=3", "preflight=off", 'notes="first, second try"', "figures=false"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str, code: int = 0, allow: str = "") -> subprocess.CompletedProcess[str]:
    done = forking.run("exp", [*words], Path.cwd(), allow=allow)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def config_of_file(text: str, *typed: str) -> dict:
    """The validated config of a file and a command line behind it."""
    Path("file.yaml").write_text(text, encoding="utf-8")
    line = CommandLine.parse(["file.yaml", *typed])
    config = compose_config(line.overrides)
    validate(config)
    return OmegaConf.to_container(config, resolve=True)


def config_of_line(*words: str) -> dict:
    return OmegaConf.to_container(compose_config(words), resolve=True)


def test_a_file_is_the_command_line_that_it_writes_down():
    assert config_of_file(MY) == config_of_line(*TYPED)
    nested = MY.replace("optimizer.lr: 1e-2\n", "").replace("epochs: 3", "optimizer.lr: 0.01\nepochs: 3")
    assert config_of_file(nested) == config_of_line(*TYPED)
    hydras = "# @package _global_\ndefaults:\n  - override /dataset: iris\n  - optimizer: adam\n  - _self_\n"
    assert config_of_file(f"{hydras}optimizer: {{lr: 0.01}}") == config_of_line(
        "dataset=iris", "optimizer=adam", "optimizer.lr=0.01"
    )


def test_the_command_line_wins_and_an_option_replaces_the_group():
    assert config_of_file(MY, "optimizer.lr=0.5")["optimizer"]["lr"] == 0.5
    assert config_of_file(MY, "optimizer=adam")["optimizer"]["lr"] == 0.01  # the file's own option
    assert config_of_file(MY, "optimizer=sgd") == config_of_line(*TYPED[:3], *TYPED[5:])
    assert config_of_file(MY, "model=linear")["model"] == config_of_line("model=linear")["model"]


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_of_conf_experiment_is_an_experiment_too(path: Path):
    shutil.copy(path, "copy.yaml")
    line = CommandLine.parse(["copy.yaml"])
    assert OmegaConf.to_container(compose_config(line.overrides), resolve=True) == config_of_line(
        f"experiment={path.stem}"
    )


def test_a_printed_config_is_an_experiment():
    words = ["dataset=moons", "model=linear", "optimizer=adam", "scheduler=cosine", "batching=full", "seed=3"]
    printed = OmegaConf.to_yaml(compose_config(words))
    assert config_of_file(printed) == config_of_line(*words)
    assert config_of_file(OmegaConf.to_yaml(compose_config([]))) == config_of_line()


def test_plain_values_are_those_of_a_command_line_and_quoted_ones_are_texts():
    text = "name: no\npreflight: off\nnotes: 2024-01-01\nmodel.activation: 'relu'\noptimizer.lr: .5\nclip_grad_norm:\n"
    config = config_of_file(text)
    assert [config[key] for key in ("name", "preflight", "notes", "clip_grad_norm")] == [
        "no",
        "off",
        "2024-01-01",
        None,
    ]
    assert config["optimizer"]["lr"] == 0.5
    assert config_of_file("epochs: 7\nseed: ${epochs}\nname: 'run ${epochs}'")["name"] == "run 7"
    assert (
        config_of_file("notes: |\n  two\n  lines, \"quoted\" and 'so'\n")["notes"]
        == "two\nlines, \"quoted\" and 'so'\n"
    )


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="$", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40)
@given(value=VALUES)
def test_every_value_of_a_file_becomes_an_override_of_that_value(value: object):
    """PyYAML writes it in its own style; the override is read back by Hydra, and its interpolations by OmegaConf."""
    Path("any.yaml").write_text(yaml.safe_dump({"model.x": value}, allow_unicode=True), encoding="utf-8")
    (entry,) = read_experiment("any.yaml").entries
    assert reads_as(entry.word.partition("=")[2]) == value


def test_a_run_and_its_resume_take_columns_of_any_name():
    """Hydra has no form for the key with a quote, so the recorded override holds an interpolation."""
    rows = "".join(f"{n % 7},{n % 5},{n % 2},{'ny'[n % 2]}\n" for n in range(60))
    Path("rows.csv").write_text(f"Blood pressure [mmHg],it's,a (b),label\n{rows}", encoding="utf-8")
    names = '{"Blood pressure [mmHg]": category, "it\'s": number, a (b): boolean}'
    Path("my.yaml").write_text(
        f"dataset: table\ndataset.path: rows.csv\ndataset.target: label\ndataset.kinds: {names}\npreflight: off\n"
    )
    run("my.yaml", "epochs=1", "model=mlp", "figures=false", "hydra.run.dir=run")
    words = yaml.safe_load(Path("run/.hydra/overrides.yaml").read_text())
    assert CommandLine.parse([f"dataset.kinds={names}"]).overrides[0] in words
    assert "resumed" in run("resume=run", "epochs=2").stdout
    assert OmegaConf.load("run/.hydra/config.yaml").dataset.kinds == {
        "Blood pressure [mmHg]": "category",
        "it's": "number",
        "a (b)": "boolean",
    }


def test_columns_of_any_name_may_be_keys():
    """Those with a quote cannot be typed on a command line."""
    Path("rows.csv").write_text('a b,it\'s,"x:y",label\n' + "1,2,3,no\n4,5,6,yes\n" * 20)
    kinds = (
        'dataset: table\ndataset.path: rows.csv\ndataset.target: label\ndataset.kinds: {a b: number, "it\'s": category}'
    )
    assert config_of_file(kinds)["dataset"]["kinds"] == {"a b": "number", "it's": "category"}


def test_a_class_of_ones_own_is_a_node_of_the_file():
    Path("mine.py").write_text(
        "from torch import nn\n\nclass Wide(nn.Linear):\n"
        "    def __init__(self, in_features, out_features, width):\n"
        "        super().__init__(in_features, out_features)\n"
    )
    Path("own.yaml").write_text("dataset: iris\nmodel:\n  _target_: mine.Wide\n  width: 3\nepochs: 1\nfigures: false\n")
    assert "Wide(width=3): 4 -> 3" in run("own.yaml", "hydra.run.dir=a", allow="mine").stdout
    assert "Wide(width=5): 4 -> 3" in run("own.yaml", "model.width=5", "hydra.run.dir=b", allow="mine").stdout
    assert "try: another model, or if you trust it EXP_ALLOW=mine" in run("own.yaml", code=1).stderr
    assert "resumed" in run("resume=a", "epochs=2", allow="mine").stdout


def test_a_run_needs_its_file_no_more():
    Path("sub").mkdir()
    Path("sub/my.yaml").write_text(MY.replace("dataset: iris\ndataset.split", "dataset: arrays\ndataset.split"))
    with Path("sub/my.yaml").open("a") as file:
        file.write("dataset.path: rows.npz\n")
    rng = np.random.default_rng(0)
    np.savez("sub/rows.npz", x=rng.normal(size=(60, 2)), y=np.arange(60) % 2)  # beside the file
    run("sub/my.yaml", "epochs=1", "hydra.run.dir=run")
    run("sub/my.yaml", "epochs=2", "hydra.run.dir=whole")
    Path("sub/my.yaml").write_text("epochs: nonsense")
    assert "epochs=2" in yaml.safe_load(Path("whole/.hydra/overrides.yaml").read_text())
    run("resume=run", "epochs=2")
    assert "identical" in run("diff", "run", "whole").stdout
    best = run("best", ".").stdout.splitlines()[-1]
    assert "sub/my.yaml" not in best
    assert "dataset.path=sub/rows.npz" in best


SEEDS = MY.replace("epochs: 3", "epochs: 1\nseed: 0,1")


def test_several_values_in_a_file_need_a_sweep():
    Path("my.yaml").write_text(SEEDS)
    said = "several values need a sweep (-m)\n  at: my.yaml:8: seed: 0,1\n  try: python -m exp -m my.yaml\n"
    assert said in run("my.yaml", code=1).stderr


@pytest.mark.slow
def test_a_sweep_over_a_file_and_of_a_file():
    Path("my.yaml").write_text(SEEDS)
    done = run("-m", "my.yaml", "optimizer.lr=0.1,0.01", "--json", "hydra.sweep.dir=sweep")
    assert json.loads(done.stdout)["result"]["jobs"]["finished"] == 4
    Path("my.yaml").unlink()
    done = run("-m", "sweep.resume=sweep", "seed=0,1,2", "--json")
    assert json.loads(done.stdout)["result"]["jobs"]["finished"] == 6


WRONG = {
    "dataset: iris\n epochs: 3": ("not YAML: mapping values are not allowed here", 2, "correct that line"),
    "model:\n\thidden: [8]": ("not YAML: found character '\\t'", 2, "spaces in place of the tab"),
    "a: [1, 2": ("not YAML: ", 1, "correct that line"),
    "- dataset: iris": ("a list at the top", 1, "KEY: VALUE without the dash"),
    "epochs=3": ("a text at the top", 1, "epochs: 3"),
    "epochs: 1\nepochs: 2": ("epochs is given twice, also in line 1", 2, "one of the two lines"),
    "optimizer: adam\noptimizer:\n  lr: 0.1": ("optimizer is given twice", 2, "optimizer: adam, and optimizer.lr: ..."),
    "optimizer.lr: 1\noptimizer: {lr: 2}": ("optimizer.lr is given twice", 2, "one of the two lines"),
    "optimizer: {type: adam}": ("the option of a group is the value", 1, "optimizer: adam, and for its keys"),
    "optimizer:\n  adam: {lr: 1}": ("the option of a group is the value", 2, "optimizer: adam, and for its keys"),
    "defaults: [{a: 1, b: 2}]": ("each item is GROUP: OPTION", 1, "- dataset: iris"),
    "1 + 2: 3": ("'1 + 2' is not a key", 1, "python -m exp --cfg job"),
    "[1]: 3": ("a list or a mapping is no key", 1, "KEY: VALUE"),
    "a: &a [*a]": ("more than 10,000 values, or 20 levels", 1, "a config without an alias"),
    f"a: {'[' * 600}{']' * 600}": ("more than 10,000 values, or 20 levels", 1, "a config without an alias"),
    "epochs: !!python/name:os.system ''": ("tags are not allowed", 1, "no tag"),
    "hydra: {run: {dir: x}}": ("a file cannot set Hydra's settings", 1, "values to try as KEY: VALUE,VALUE"),
    "hydra/launcher: joblib": ("a file cannot set Hydra's settings", 1, "hydra/launcher=... on the command line"),
    "+hydra.job.name: x": ("a file cannot set Hydra's settings", 1, "+hydra.job.name=... on the command line"),
    "defaults: [{override /hydra/launcher: x}]": ("a file cannot set Hydra's settings", 1, "hydra/launcher=..."),
    "optimizer@hydra.callbacks.a: mine": ("is not a key", 1, "python -m exp --cfg job"),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_in_the_file_is_answered_with_its_line(text: str):
    what, line, fix = WRONG[text]
    Path("wrong.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        CommandLine.parse(["wrong.yaml"])
    assert what in caught.value.problem
    assert f"\n  at: wrong.yaml:{line}: " in caught.value.problem
    assert caught.value.fix.startswith(fix)


def test_many_aliases_of_aliases_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    Path("wrong.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="more than 10,000 values"):
        CommandLine.parse(["wrong.yaml"])


def test_wrong_keys_and_values_are_answered_as_on_the_command_line():
    Path("my.yaml").write_text("dataset: irs\noptimizer:\n  lr: abc\nmodel.hiden: [8]\n")
    assert run("my.yaml", code=1).stderr.splitlines() == [
        "exp: 3 errors",
        *run("dataset=irs", code=1).stderr.removeprefix("exp: ").splitlines()[:1],
        "  at: my.yaml:1: dataset: irs",
        "  try: dataset=iris",
        *run("model.hiden=[8]", code=1).stderr.removeprefix("exp: ").splitlines()[:1],
        "  at: my.yaml:4: model.hiden: [8]",
        "  try: model.hidden=[8]",
        "optimizer.lr must be a number > 0 and <= 1000000000, got abc",
        "  at: my.yaml:3: lr: abc",
        "  try: optimizer.lr=0.02",
        "corrected: python -m exp dataset=iris optimizer.lr=0.02 'model.hidden=[8]'",
    ]
    Path("my.yaml").write_text("dataset: iris\noptimizer.lr: abc\nepochs: 1\n")
    corrected = run("my.yaml", "seed=1", code=1).stderr.splitlines()[-1]
    assert corrected == "corrected: python -m exp my.yaml optimizer.lr=0.02 seed=1"
    target = "model: {_target_: os.system, command: 'touch ran'}"
    Path("my.yaml").write_text(target)
    assert "model._target_=os.system is not allowed" in run("my.yaml", code=1).stderr
    assert not Path("ran").exists()
    assert not Path("outputs").exists()


def test_all_that_is_wrong_in_a_file_is_answered_at_once():
    Path("my.csv").write_text("a,b,label\n1,2,x\n2,3,y\n")
    Path("my.yaml").write_text(
        "dataset: {name: table, path: my.csv, splt: [0.5, 0.25, 0.25]}\ndataset.max_categories: many\n"
        "model: {hiden: [4]}\nepochs: -1\nseed: 1\nseed: 2\noptimizer: adam\noptimizer:\n  lr: abc\n"
        "hydra.run.dir: x\nloss: !!python/name:os.system ''\ndefaults: [x, y]\n'1': 2\nmetric: acuracy\n"
    )
    said = run("my.yaml", code=1).stderr
    places = {
        "dataset.name: the option of a group is the value of the group": 1,
        "unknown key 'dataset.splt'": 1,
        "dataset.max_categories must be an integer": 2,
        "unknown key 'model.hiden'": 3,
        "epochs must be an integer": 4,
        "seed is given twice, also in line 5": 6,
        "optimizer is given twice, also in line 7": 8,
        "optimizer.lr must be a number": 9,
        "hydra.run.dir: a file cannot set Hydra's settings": 10,
        "!!python/name:os.system: tags are not allowed": 11,
        "'1' is not a key": 13,
        "metric must be the name of a metric": 14,
    }
    for what, line in places.items():
        assert re.search(rf"{re.escape(what)}[^\n]*\n  at: my.yaml:{line}: [^\n]+\n  try: ", said), what
    assert said.count("defaults: each item is GROUP: OPTION\n  at: my.yaml:12: ") == 2
    assert "\ndataset.target needs a value; my.csv has a, b, label\n" in said
    assert said.startswith(f"exp: {len(places) + 3} errors\n")
    assert "corrected:" not in said  # what was meant is a guess
    assert not Path("outputs").exists()


def test_what_is_no_experiment_file_is_answered():
    Path("my.yaml").write_text("epochs: 1")
    Path("folder").mkdir()
    shutil.copy("my.yaml", "folder")
    Path("empty.yaml").write_text("# nothing\n")
    Path("latin.yaml").write_bytes(b"name: caf\xe9")
    Path("my.json").write_text('{"epochs": 1}')
    Path("my.csv").write_text("a,b\n1,2\n")
    Path("my.toml").write_text("epochs = 1")
    for words, what, fix in (
        ("my2.yaml", "my2.yaml: file not found", "python -m exp my.yaml"),
        ("folder", "folder: it is a folder; an experiment is a YAML file", "python -m exp folder/my.yaml"),
        ("empty.yaml", "empty.yaml: the file is empty", "a line such as dataset: iris"),
        ("latin.yaml", "latin.yaml: not a text in UTF-8", "a YAML file saved as UTF-8"),
        ("my.json", "my.json: an experiment is a file that ends", "cp my.json my.yaml && python -m exp my.yaml"),
        ("my.csv", "my.csv: arguments must be KEY=VALUE", "dataset=table dataset.path=my.csv dataset.target=b"),
        ("my.toml", "my.toml: an experiment is a YAML file", "python -m exp FILE.yaml"),
        ("my.yaml empty.yaml", "my.yaml empty.yaml: an experiment is one file", "python -m exp my.yaml"),
        ("my.yaml --epochs 2", "--epochs: keys take no dashes", "python -m exp my.yaml epochs=2"),
        ("my.yaml sweep.workers=2", "sweep.workers is for a sweep (-m)", "python -m exp my.yaml"),
    ):
        said = run(*words.split(), code=1).stderr
        assert what in said
        assert f"\n  try: {fix}\n" in said
