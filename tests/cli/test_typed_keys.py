"""Keys that are given twice, and suggestions: none of them replaces what another word of the line says."""

import shlex
from pathlib import Path

import pytest

from exp.cli.command_line import CommandLine
from exp.cli.diagnosis import check_line, diagnose
from exp.config.overrides import override_key
from exp.errors import ConfigError


@pytest.mark.parametrize(
    ("line", "key", "corrected"),
    [
        ("epochs=1 epochs=2", "epochs", "epochs=2"),
        ("epochs=1 +epochs=2", "epochs", "epochs=2"),
        ("++epochs=1 epochs=2", "epochs", "epochs=2"),
        ("++epochs=1 ++epochs=2", "epochs", "++epochs=2"),
        ("epochs=1 epochs='2'", "epochs", "epochs=2"),
        ('model.hidden=[1] "model.hidden=[2, 3]"', "model.hidden", "'model.hidden=[2, 3]'"),
        ("model=mlp optimizer=adam model=linear", "model", "optimizer=adam model=linear"),
        ("model=mlp +model=linear", "model", "model=linear"),
        ("model@model=mlp model=linear", "model", "model=linear"),
        ("hydra.run.dir=a hydra.run.dir=b", "hydra.run.dir", "hydra.run.dir=b"),
        ("-m optimizer.lr=0.1,0.2 optimizer.lr=0.3", "optimizer.lr", "-m optimizer.lr=0.3"),
        ("-m seed=1 ++seed=2,3", "seed", "-m ++seed=2,3"),
        (
            "early_stopping.patience=3 'early_stopping={patience: 5}'",
            "early_stopping.patience",
            "'early_stopping={patience: 5}'",
        ),
        (
            "'early_stopping={min_delta: 0, patience: 5}' seed=1 ++early_stopping.patience=3",
            "early_stopping.patience",
            "seed=1 ++early_stopping.patience=3",
        ),
    ],
)
def test_a_key_that_is_given_twice_is_refused(line: str, key: str, corrected: str):
    with pytest.raises(ConfigError, match=f": {key} is given twice") as error:
        CommandLine.parse(shlex.split(line))
    assert error.value.fix == f"python -m exp {corrected}"


@pytest.mark.parametrize(
    "line",
    [
        "model=mlp model.hidden=[3]",
        "early_stopping.patience=3 'early_stopping={min_delta: 0.1}'",
        "-m epochs=1 hydra/sweeper=optuna optimizer.lr=interval(0.1,1)",
        "~model.activation +model.activation=relu",
    ],
)
def test_other_keys_of_a_group_are_not_twice_the_same(line: str):
    CommandLine.parse(shlex.split(line))


@pytest.mark.parametrize(
    ("line", "corrected"),
    [
        ("--epochs 1 epochs=2", "epochs=2"),
        ("epochs = 1 seed=3 epochs=2", "seed=3 epochs=2"),
        ("epochs=1 --epochs=2", "epochs=2"),
        ("--lr 0.1 optimizer.lr=0.2", "optimizer.lr=0.2"),
    ],
)
def test_a_line_with_another_spelling_of_a_typed_key_is_corrected_to_one(line: str, corrected: str):
    with pytest.raises(ConfigError) as error:
        CommandLine.parse(shlex.split(line))
    assert error.value.fix == f"python -m exp {corrected}"
    CommandLine.parse(shlex.split(error.value.fix)[3:])


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("'+hydra.sweeper.params={seed: \"1,2\"}'", "seed=1,2"),
        ("'hydra.sweeper.params={optimizer.lr: \"0.1,0.2\", seed: 3}'", "optimizer.lr=0.1,0.2 seed=3"),
        ("+hydra.sweeper.params.seed=1,2", "seed=1,2"),
    ],
)
def test_the_params_of_a_sweeper_are_typed_as_keys(word: str, found: str):
    with pytest.raises(ConfigError, match=r"hydra.sweeper.params is for YAML files") as error:
        CommandLine.parse(["-m", *shlex.split(word), "epochs=1"])
    assert error.value.fix == f"python -m exp -m {found} epochs=1"


def test_the_params_of_a_yaml_file_name_a_key_once(exp, tmp_path: Path):
    (tmp_path / "conf/experiment").mkdir(parents=True)
    text = "# @package _global_\nhydra: {sweeper: {params: {seed: '1,2', ++seed: 3}}}\n"
    (tmp_path / "conf/experiment/twice.yaml").write_text(text)
    done = exp("-m", "--config-dir", "conf", "experiment=twice", "epochs=1", "figures=false", "sweep.workers=0")
    assert done.returncode == 1
    assert "hydra.sweeper.params: seed is given twice" in done.stderr


# The line, what to do about its first problem, and the corrected command.
SUGGESTED = [
    ("epoch=5 epochs=6", "remove epoch=5, because epochs=6 is given", "epochs=6"),
    ("+epoch=5 epochs=6", "remove +epoch=5, because epochs=6 is given", "epochs=6"),
    ("lr=0.1 optimizer.lr=0.2", "remove lr=0.1, because optimizer.lr=0.2 is given", "optimizer.lr=0.2"),
    ("optimizer.lrr=0.1 ++optimizer.lr=0.2", "remove optimizer.lrr=0.1, because", "++optimizer.lr=0.2"),
    ("data=moons dataset=xor", "remove data=moons, because dataset=xor is given", "dataset=xor"),
    ("net=linear model=mlp", "remove net=linear, because model=mlp is given", "model=mlp"),
    ("batch_size=5 batching.batch_size=6", "remove batch_size=5, because", "batching.batch_size=6"),
    ("+model.hiden=3 model.hidden=[4]", "remove +model.hiden=3, because", "'model.hidden=[4]'"),
    ("model.hiden=3 model.hidden=[4]", "remove model.hiden=3, because", "'model.hidden=[4]'"),
    ("epochs epochs=5", "remove epochs, because epochs=5 is given", "epochs=5"),
    ("cancer dataset=moons", "remove cancer, because dataset=moons is given", "dataset=moons"),
    ("model=mlp model.channels=[8]", "remove model.channels=[8], or model=cnn model.channels=[8]", "model=mlp"),
    (
        "scheduler=step scheduler.T_max=5 scheduler.step_size=3",
        "remove scheduler.T_max=5, or scheduler=cosine scheduler.T_max=5",
        "scheduler=step scheduler.step_size=3",
    ),
    ("-m epoch=5,6 epochs=7 seed=1,2", "remove epoch=5, because epochs=7 is given", "-m epochs=7 seed=1,2"),
    ("metric=f1 metrc=auc", "remove metrc=auc, because metric=f1 is given", "metric=f1"),
]


@pytest.mark.parametrize(
    ("line", "fix", "corrected"),
    [case if n % 4 == 0 else pytest.param(*case, marks=pytest.mark.slow) for n, case in enumerate(SUGGESTED)],
    ids=[line for line, _, _ in SUGGESTED],
)
def test_a_suggestion_never_replaces_a_typed_key(line: str, fix: str, corrected: str):
    parsed = CommandLine.parse(shlex.split(line))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        check_line(parsed)
    diagnosis = diagnose(caught.value, parsed)
    (problem,) = diagnosis.problems
    assert problem.fix.startswith(fix)
    assert str(diagnosis.corrected) == f"python -m exp {corrected}"
    check_line(CommandLine.parse(shlex.split(corrected)))


def test_a_file_is_not_suggested_for_a_path_that_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("my.csv", "other.csv"):
        Path(name).write_text("a,b,y\n1,2,x\n2,3,z\n")
    for line in ("dataset=my.csv dataset.path=other.csv", "my.csv dataset=table dataset.path=other.csv"):
        parsed = CommandLine.parse(shlex.split(line))
        with pytest.raises(Exception) as caught:  # noqa: PT011
            check_line(parsed)
        corrected = diagnose(caught.value, parsed).corrected
        assert corrected is not None
        kept = {override_key(word): word for word in corrected.overrides}
        assert kept["dataset"] == "dataset=table"
        assert kept["dataset.path"] == "dataset.path=other.csv"
