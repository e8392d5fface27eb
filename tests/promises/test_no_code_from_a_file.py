"""Promise 5: an untrusted config or checkpoint runs no code outside the allow-list."""

import functools
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import forking
import pytest
import torch
from conftest import config_of, one_in
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from exp.config import allowlist
from exp.config.compose import compose_config
from exp.config.instantiate import import_target
from exp.errors import CheckpointError, ConfigError
from exp.results import checkpoints, search_json, sweep_csv
from exp.training.build import build

REFUSED = [
    ("model", "os.system"),
    ("model", "builtins.open"),
    ("model", "builtins.getattr"),
    ("dataset", "pathlib.Path.unlink"),
    ("dataset", "subprocess.run"),
    ("dataset", "shutil.rmtree"),
    ("model", "torch.load"),
    ("model", "torch.hub.load"),
    ("dataset", "numpy.load"),
    ("model", "torch.nn.modules.module.torch.load"),
    ("optimizer", "torch.optim.optimizer.functools.partial"),
    ("model", "torch.nn.modules.linear.math.exp"),
    ("dataset", "exp.results.checkpoints.write"),
    ("dataset", "exp.run.run"),
    ("dataset", "exp.data.prepare.np.save"),
    ("dataset", "exp.data.synthetic.np.save"),
    # From an allowed package, but harmful.
    ("dataset", "sklearn.datasets.clear_data_home"),
    ("dataset", "sklearn.datasets.dump_svmlight_file"),
    ("dataset", "sklearn.datasets.load_files"),
    ("dataset", "sklearn.datasets.load_svmlight_file"),
    ("dataset", "sklearn.datasets.fetch_california_housing"),
    ("dataset", "sklearn.datasets.fetch_openml"),
    ("dataset", "sklearn.datasets._base.shutil.copy"),
    ("dataset", "sklearn.datasets._base.load_csv_data"),
    ("dataset", "sklearn.datasets._base.Path"),
    ("model", "torch.nn.attention._fa4._fa4_import_module"),
    ("model", "torch.nn.modules.module.register_module_forward_hook"),
    ("loss", "torch.nn.utils.clip_grad_norm_"),
    # Allowed only in another group.
    ("model", "torch.optim.SGD"),
    ("optimizer", "torch.nn.Linear"),
    ("optimizer", "torch.optim.lr_scheduler.StepLR"),
    ("scheduler", "torch.optim.SGD"),
    ("dataset", "torch.nn.Linear"),
    ("model", "torchvision.models.resnet18"),
    ("model", "eval"),
    ("model", ""),
    ("model", "torch.nn."),
    ("model", 42),
    ("model", None),
]


@pytest.mark.parametrize(("group", "target"), REFUSED, ids=str)
def test_a_target_outside_the_allow_list_is_refused(group: str, target: object):
    with pytest.raises(ConfigError, match=r"is not allowed|does not exist") as caught:
        import_target(group, {"_target_": target})
    assert caught.value.fix.startswith((f"another {group}", f"{group}._target_="))
    # The message does not suggest allowing os, torch or exp itself.
    assert ("EXP_ALLOW" in caught.value.fix) == (target == "torchvision.models.resnet18")


@pytest.mark.parametrize("key", ["model._target_", "metric", "metrics"])
def test_a_refused_package_is_not_imported(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "hostile.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nclass Net: ...\nNet.higher_is_better = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="is not allowed"):
        build(config_of(f"{key}=hostile.Net"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("group", ["dataset", "model", "optimizer", "loss", "scheduler"])
def test_every_group_is_checked(group: str):
    with pytest.raises(ConfigError, match=rf"{group}\._target_=os.getcwd is not allowed"):
        build(config_of(f"{group}._target_=os.getcwd"))


def test_a_nested_target_is_a_plain_value(tmp_path: Path):
    path = tmp_path / "ran"
    with pytest.raises(ConfigError, match=r"failed:"):
        build(config_of("model=linear", f"+model.device={{_target_: pathlib.Path.touch, self: {path}}}"))
    assert not path.exists()


def test_the_users_environment_allows_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "class Wide(nn.Linear):\n"
        "    def __init__(self, in_features, out_features): super().__init__(in_features, out_features)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("exp.config.allowlist.USER_PACKAGES", ("mine",))
    assert type(build(config_of("model=linear", "~model.bias", "model._target_=mine.Wide")).model).__name__ == "Wide"


UNTRUSTED = {
    "callback": "# @package _global_\nhydra: {callbacks: {a: {_target_: hostile.Net}}}",
    "environment": "# @package _global_\nhydra: {job: {env_set: {EXP_ALLOW: hostile}}}\nmodel: {_target_: hostile.Net}",
    "escaped": '# @package _global_\n"\\x68ydra": {job_logging: {handlers: {file: {"()": hostile.Net}}}}',
    "package": "# @package hydra.callbacks.a\n_target_: hostile.Net",
    "package in defaults": "# @package _global_\ndefaults: [{/optimizer@hydra.callbacks.a: mine}]",
    "override": "# @package _global_\ndefaults: [{override /hydra/job_logging: mine}]",
    "a line that is none to everybody": "# @by me\u2028# @package hydra.callbacks.a\n_target_: hostile.Net",
    "folder": "# @package _global_\nhydra: {run: {dir: elsewhere}}",
    "name of the log": "# @package _global_\nhydra: {job: {name: ../../log}}",
}


LINES = ("experiment=untrusted", "-m experiment=xor_mse,untrusted", "-m experiment=untrusted seed=1,2")


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=() if how in ("escaped", "folder") else pytest.mark.slow) for how in UNTRUSTED]
)
def test_a_config_dir_cannot_change_hydras_settings(exp, tmp_path: Path, how: str):
    source = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nclass Net: ...\n"
    (tmp_path / "hostile.py").write_text(source)
    files = {
        "experiment/untrusted": UNTRUSTED[how],
        "optimizer/mine": "_target_: hostile.Net",
        "hydra/job_logging/mine": "version: 1\nhandlers: {file: {(): hostile.Net}}\nroot: {handlers: [file]}",
    }
    for name, text in files.items():  # behind a link, which Hydra follows
        (tmp_path / "real" / name).parent.mkdir(parents=True)
        (tmp_path / "real" / f"{name}.yaml").write_text(text + "\n", encoding="utf-8")
    (tmp_path / "conf").mkdir()
    for name in ("experiment", "optimizer", "hydra"):
        (tmp_path / "conf" / name).symlink_to(tmp_path / "real" / name)
    for line in LINES if how == "callback" else LINES[: 1 + (how in ("package", "escaped"))]:
        workers = ["sweep.workers=0"] if "-m" in line.split() else []
        done = exp("--config-dir", "conf", *line.split(), "epochs=1", "figures=false", *workers)
        assert not (tmp_path / "ran").exists()
        if how == "override":  # the override in config.yaml comes last and applies
            assert done.returncode == 0
            return
        assert done.returncode == 1
        assert "is set by a YAML file in" in done.stderr
        assert not list(tmp_path.rglob("summary.json"))
        assert not list(tmp_path.rglob("log.log"))


def test_a_hydra_setting_cannot_allow_a_package(exp, tmp_path: Path):
    (tmp_path / "hostile.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    done = exp("+hydra.job.env_set.EXP_ALLOW=hostile", "model._target_=hostile.Net")
    assert done.returncode == 1
    assert "is not allowed" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_config_dir_cannot_replace_a_file_of_exp(exp, tmp_path: Path):
    (tmp_path / "her conf/dataset").mkdir(parents=True)
    (theirs := tmp_path / "her conf/dataset/cancer.yaml").write_text("_target_: sklearn.datasets.load_wine\n")
    done = exp("--config-dir", "her conf", "dataset=cancer", "epochs=1")
    assert done.returncode == 1
    assert "cancer.yaml would replace exp's own file of that name" in done.stderr
    subprocess.run(done.stderr.partition("another name: ")[2], shell=True, check=True, cwd=tmp_path)  # as it is pasted
    assert not theirs.exists()
    assert theirs.with_name("my_cancer.yaml").exists()


INTERPOLATED = [
    "model._target_='${oc.env:HOSTILE}'",
    "model._target_='hostile.${oc.decode:run}'",
    "+model.how='${oc.create:{_target_: hostile.run}}'",
    "model={_target_: hostile.run}",
    "+optimizer.params={_target_: hostile.run, _partial_: true}",
    "model={_target_: torch.nn.Linear, _args_: [{_target_: hostile.run}]}",
    "model={_target_: hydra.utils.get_method, path: hostile.run}",
    "model={_target_: hydra.utils.call}",
]


@pytest.mark.parametrize("line", INTERPOLATED)
def test_other_spellings_of_a_target_are_refused(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOSTILE", "hostile.run")
    (tmp_path / "hostile.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\ndef run(): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises((ConfigError, HydraException, OmegaConfBaseException)):
        build(config_of(line))
    assert not (tmp_path / "ran").exists()


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


class System:
    def __reduce__(self):
        return (os.system, ("touch ran",))


class Evaluated:
    def __reduce__(self):
        return (eval, ("open('ran', 'w')",))


class Loaded:
    def __reduce__(self):
        return (torch.hub.load, ("ran", "ran"))


class Partial:
    def __reduce__(self):
        return (functools.partial(Path.touch, Path("ran")), ())


def zipped(path: Path, names: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)


WHOLE = {"format": checkpoints.FORMAT, "model": {"weight": torch.zeros(2)}}
# Ways to make an untrusted last.pt.
FILES: dict[str, Callable[[Path], object]] = {
    "a pickle": lambda path: path.write_bytes(pickle.dumps({**WHOLE, "model": Hostile()})),
    "torch.save": lambda path: torch.save({**WHOLE, "model": Hostile()}, path),
    "in the old format": lambda path: torch.save(
        {**WHOLE, "model": Hostile()}, path, _use_new_zipfile_serialization=False
    ),
    "os.system": lambda path: torch.save({**WHOLE, "progress": System()}, path),
    "eval": lambda path: torch.save({**WHOLE, "optimizer": {"state": [Evaluated()]}}, path),
    "torch.hub": lambda path: torch.save([Loaded()], path),
    "a partial": lambda path: torch.save((Partial(), WHOLE), path),
    "a whole module": lambda path: torch.save(torch.nn.Linear(2, 2), path),
    "as a key": lambda path: torch.save({Hostile(): 1}, path),
    "a zip of pickles": lambda path: zipped(path, {"a/data.pkl": pickle.dumps(Hostile()), "a/version": b"3"}),
    "a zip that climbs": lambda path: zipped(path, {"../../ran": b"", "a/data.pkl": pickle.dumps(1)}),
    "two records of one name": lambda path: path.write_bytes(pickle.dumps(WHOLE) + pickle.dumps(Hostile())),
    "a script": lambda path: path.write_text("import pathlib; pathlib.Path('ran').touch()"),
    "nothing": lambda path: path.write_bytes(b""),
    "half": lambda path: (torch.save(WHOLE, path), path.write_bytes(path.read_bytes()[:300])),
    "no checksum": lambda path: torch.save(WHOLE, path),
    "another's checksum": lambda path: torch.save({**WHOLE, "checksum": "0" * 32}, path),
    "another format": lambda path: torch.save({**WHOLE, "format": 1}, path),
    "a list": lambda path: torch.save([1, 2], path),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("how", FILES)
def test_an_untrusted_checkpoint_is_refused_and_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "last.pt"
    FILES[how](path)
    with pytest.raises(CheckpointError, match=r"last.pt (cannot be read|is not a checkpoint|is damaged)"):
        checkpoints.read(path)
    assert {file.name for file in tmp_path.rglob("*")} == {"last.pt"}
    assert not (tmp_path.parent / "ran").exists()


def test_an_untrusted_run_cannot_change_hydras_settings_when_it_is_resumed(exp, tmp_path: Path):
    (tmp_path / "hostile.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    (tmp_path / "run/.hydra").mkdir(parents=True)
    (tmp_path / "run/.hydra/config.yaml").write_text("epochs: 1\n")
    sources = f"hydra: {{runtime: {{config_sources: [{{provider: command-line, path: '{tmp_path}/conf'}}]}}}}\n"
    (tmp_path / "conf/optimizer").mkdir(parents=True)
    (tmp_path / "conf/optimizer/mine.yaml").write_text("_target_: hostile.Net\n")
    for override, settings, where in (
        ("+hydra.callbacks.a={_target_: hostile.Net}", "{}\n", "the run's own record"),
        ("+optimizer@hydra.callbacks.a=mine", sources, f"{tmp_path}/conf"),
    ):
        (tmp_path / "run/.hydra/hydra.yaml").write_text(settings)
        (tmp_path / "run/.hydra/overrides.yaml").write_text(f"- '{override}'\n")
        for command in ("exp", "exp.verify"):
            done = forking.run(command, ["resume=run"], tmp_path)
            assert done.returncode == 1
            assert f"is set by a YAML file in {where}" in done.stderr
            assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name", one_in(2, ["exp.log", "summary.tmp", "checkpoints", ".hydra", "events.out.tfevents.1.a.1.0"])
)
def test_an_untrusted_run_writes_only_in_its_folder(exp, xor_run: Path, tmp_path: Path, name: str):
    shutil.copytree(xor_run, tmp_path / "run")
    path, victim = tmp_path / "run" / name, tmp_path / "victim"
    if path.is_dir():
        path.rename(victim)
    else:
        path.unlink(missing_ok=True)
        victim.write_text("precious")
    path.symlink_to(victim)
    before = {file: file.read_bytes() for file in [victim, *victim.rglob("*")] if file.is_file()}
    done = exp("resume=run", "epochs=4")
    assert done.returncode == 1
    assert f"{path} is a link" in done.stderr
    assert {file: file.read_bytes() for file in [victim, *victim.rglob("*")] if file.is_file()} == before


def test_what_an_allowed_module_imports_is_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A harmful function of scikit-learn, named through an allowed module."""
    (tmp_path / "theirs.py").write_text("from sklearn.datasets import clear_data_home\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("exp.config.allowlist.USER_PACKAGES", ("theirs",))
    (tmp_path / "victim").mkdir()
    with pytest.raises(ConfigError, match="is not allowed"):
        build(config_of("dataset._target_=theirs.clear_data_home", f"+dataset.data_home={tmp_path}/victim"))
    assert (tmp_path / "victim").exists()


# What a YAML file may say below hydra.sweeper, with a call hidden in it.
SWEEPERS = {
    "a value": "params: {seed: {_target_: hostile.Net}}",
    "all values": "params: {_target_: hostile.Net}",
    "a group": "params: {optimizer: {lr: {_target_: hostile.Net}}}",
    "a list": "params: {seed: [1, {_target_: hostile.Net}]}",
    "an interpolation": "params: {seed: '${oc.create:{_target_: hostile.Net}}'}",
    "an interpolation of all values": "params: '${oc.create:{seed: {_target_: hostile.Net}}}'",
    "another key": "params: {seed: '${model.net}'}\nmodel: {net: {_target_: hostile.Net}}",
}


@pytest.mark.parametrize(
    ("how", "more"),
    [
        pytest.param(how, more, marks=() if number in (4, 13) else pytest.mark.slow)
        for number, (how, more) in enumerate(product(SWEEPERS, ["sweep.dry_run=true", "hydra/sweeper=optuna"]))
    ],
)
def test_the_values_that_a_sweep_tries_are_not_called(exp, tmp_path: Path, how: str, more: str):
    (tmp_path / "hostile.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nNet = dict\n"
    )
    (tmp_path / "conf/experiment").mkdir(parents=True)
    sweeper, _, rest = SWEEPERS[how].partition("\n")
    text = f"# @package _global_\nhydra:\n  sweeper:\n    {sweeper}\n{rest}\n"
    (tmp_path / "conf/experiment/untrusted.yaml").write_text(text)
    done = exp("-m", "--config-dir", "conf", "experiment=untrusted", "epochs=1", "sweep.workers=0", more)
    assert done.returncode == 1
    assert "hydra.sweeper.params: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ran").exists()


def test_exps_sweepers_do_not_call_what_their_settings_hold():
    for sweeper in ("exp", "optuna"):
        assert compose_config([f"hydra/sweeper={sweeper}"], with_hydra=True).hydra.sweeper._recursive_ is False


@pytest.mark.parametrize("kind", ["hydra", "task"])
def test_a_config_dir_cannot_add_overrides(exp, tmp_path: Path, kind: str):
    """Hydra composes the jobs of a sweep with the overrides that its config has recorded."""
    (tmp_path / "conf/experiment").mkdir(parents=True)
    text = f"# @package _global_\nhydra: {{overrides: {{{kind}: ['+hydra.job.env_set.A=1']}}}}\n"
    (tmp_path / "conf/experiment/untrusted.yaml").write_text(text)
    done = exp("-m", "--config-dir", "conf", "experiment=untrusted", "seed=1,2", "epochs=1", "hydra/launcher=basic")
    assert done.returncode == 1
    assert "hydra.overrides is set by a YAML file in" in done.stderr


@pytest.mark.parametrize("word", ["--config-dir=theirs", "-cd=theirs", "--experimental-rerun=run.pkl", 7])
def test_a_sweep_that_is_resumed_cannot_bring_flags(exp, tmp_path: Path, word: object):
    (tmp_path / "hostile.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nNet = dict\n"
    )
    (tmp_path / "theirs/experiment").mkdir(parents=True)
    (tmp_path / "theirs/experiment/evil.yaml").write_text(f"{UNTRUSTED['callback']}\n")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/sweep.json").write_text('{"folders": {}, "config": {}, "varied": []}')
    words = json.dumps([word, "experiment=evil"])
    (tmp_path / "sweep/multirun.yaml").write_text(f"hydra: {{overrides: {{task: {words}}}}}\n")
    done = exp("-m", "sweep.resume=sweep", "epochs=1", "seed=1,2", "sweep.workers=0")
    assert not (tmp_path / "ran").exists()
    assert done.returncode == 1
    assert "sweep/multirun.yaml: not a list of KEY=VALUE" in done.stderr


@pytest.mark.slow
def test_a_config_dir_replaces_no_installed_module(exp, tmp_path: Path):
    """Even if the user allows a module: `mine` is the only one that it may bring. Workers import all others anew."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/mine.py").write_text("from torch import nn\nclass Net(nn.Linear): ...\n")
    for name in ("scipy", "torch", "this"):
        text = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"
        (tmp_path / f"conf/{name}.py").write_text(text)
    line = ["--config-dir", "conf", "epochs=1", "figures=false", "model._target_=mine.Net", "sweep.workers=2"]
    done = exp("-m", *line, "model=linear", "seed=1,2", EXP_ALLOW="mine")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "conf/ran").exists()


def test_the_folder_of_modules_is_the_last_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "this.py").touch()
    (tmp_path / "mine_alone.py").touch()
    monkeypatch.setattr("exp.config.allowlist.USER_PACKAGES", ("mine_alone",))
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("PYTHONPATH", "EXP_MODULES"):
        monkeypatch.setenv(name, "")
    allowlist.add_to_path(str(tmp_path))
    places = [find_spec(name) for name in ("this", "mine_alone")]
    assert [spec is not None and Path(str(spec.origin)).parent == tmp_path for spec in places] == [False, True]
    assert os.environ["PYTHONPATH"] == ""
    allowlist.add_to_path(str(tmp_path / "later"))
    assert sys.path[-2:] == [str(tmp_path / "later"), str(tmp_path)]
    del sys.path[-2:]
    allowlist.add_to_path(None)  # in a worker
    assert sys.path[-2:] == [str(tmp_path / "later"), str(tmp_path)]


@pytest.mark.parametrize("job", ["0", "link"])
def test_a_sweep_cannot_bring_its_own_module(tmp_path: Path, job: str):
    sweep = tmp_path / "sweep"
    (sweep / "conf").mkdir(parents=True)
    (sweep / "conf/mine.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    (sweep / "multirun.yaml").write_text("sweep: {metric: mine.gain/val}\n")
    place = sweep / "0" if job == "0" else tmp_path / "elsewhere"
    (place / ".hydra").mkdir(parents=True)
    (place / ".hydra/overrides.yaml").write_text("[]\n")
    (place / "summary.json").write_text('{"status": "finished", "final": {"val": {"mine.gain": 1.0}}}')
    if job == "link":
        (sweep / "0").symlink_to(place)
    sources = f"{{config_sources: [{{provider: command-line, path: '{sweep}/conf'}}]}}"
    (place / ".hydra/hydra.yaml").write_text(f"hydra: {{runtime: {sources}}}\n")
    for command in (
        ["best", "sweep"],
        ["predict", "run=sweep", "data=x.csv", "out=y.csv"],
        ["evaluate", "run=sweep/0"],
    ):
        done = forking.begin(f"exp.{command[0]}", *command[1:], folder=tmp_path, EXP_ALLOW="mine").completed()
        assert done.returncode == 1
        assert f"--config-dir={sweep}/conf must be an absolute path outside the sweep" in done.stderr
    assert not (sweep / "conf/ran").exists()


def test_the_comment_of_exp_best_is_one_line(tmp_path: Path):
    """Its output is for a shell: a line break in the name of a job would begin a command."""
    job = tmp_path / "sweep/0\ntouch ran\x1b[2K"
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra/overrides.yaml").write_text("[seed=1]\n")
    (job / ".hydra/hydra.yaml").write_text("{}\n")
    (job / ".hydra/config.yaml").write_text("epochs: 1\n")
    (job / "summary.json").write_text('{"status": "finished", "final": {"val": {"lo\\nss": 1.0}}}')
    (tmp_path / "sweep/multirun.yaml").write_text('sweep: {metric: "lo\\nss/val"}\n')
    done = forking.run("exp.best", ["sweep"], tmp_path)
    assert done.stdout.splitlines() == ["# job 0 touch ran [2K: lo ss/val 1", "python -m exp seed=1"], done.stderr


@pytest.mark.parametrize("importances", ['{"optimizer.lr": "9"}', '{"optimizer.lr": null}', "[]"])
def test_a_record_of_a_search_that_is_none_is_left_out(tmp_path: Path, importances: str):
    record = {"metric": "loss/val", "direction": "minimize", "trials": 3, "best_value": 0.5, "best_params": {}}
    content = json.dumps({**record, "best_command": "", "importances": json.loads(importances), "log": []})
    (tmp_path / "search.json").write_text(content)
    assert search_json.read(tmp_path) is None


def test_a_job_of_a_sweep_is_inside_its_folder(tmp_path: Path):
    (tmp_path / "sweep/0/.hydra").mkdir(parents=True)
    (tmp_path / "sweep/0/.hydra/overrides.yaml").write_text("[]\n")
    content = {"status": "failed", "overrides": ["seed=1", "job=../run", "status=finished", "error=", "seconds=1"]}
    (tmp_path / "sweep/0/summary.json").write_text(json.dumps(content))
    row = sweep_csv.read_rows(tmp_path / "sweep")["0"]
    assert row == {"job": "0", "status": "failed", "seed": "1", "seconds": "", "error": ""}
