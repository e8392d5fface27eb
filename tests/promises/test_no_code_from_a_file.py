"""Promise 5: a config or a checkpoint from a stranger runs nothing outside the list."""

import pickle
from pathlib import Path

import pytest
import torch
from conftest import config_of

from exp import checkpoint
from exp.build import build, resolve
from exp.errors import CheckpointError, ConfigError

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
    ("dataset", "exp.checkpoint.write"),
    ("dataset", "exp.run.run"),
    ("dataset", "exp.data.preparing.np.save"),
    ("dataset", "exp.data.makers.np.save"),
    # Of an allowed package, and harmful.
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
    # Of another group's kind.
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
def test_a_target_off_the_list_is_refused(group: str, target: object):
    with pytest.raises(ConfigError, match=r"is not allowed|does not exist") as caught:
        resolve(group, target)
    assert "EXP_ALLOW" in caught.value.cure or f"{group}._target_=" in caught.value.cure


def test_nothing_of_a_refused_package_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "hostile.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nclass Net: ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="is not allowed"):
        build(config_of("model._target_=hostile.Net"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("group", ["dataset", "model", "optimizer", "loss", "scheduler"])
def test_every_group_is_guarded(group: str):
    with pytest.raises(ConfigError, match=rf"{group}\._target_=os.getcwd is not allowed"):
        build(config_of(f"{group}._target_=os.getcwd"))


def test_a_nested_target_is_a_mere_value(tmp_path: Path):
    path = tmp_path / "ran"
    with pytest.raises(ConfigError, match=r"refused"):
        build(config_of("model=linear", f"+model.device={{_target_: pathlib.Path.touch, self: {path}}}"))
    assert not path.exists()


def test_the_users_environment_allows_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "class Wide(nn.Linear):\n"
        "    def __init__(self, in_features, out_features): super().__init__(in_features, out_features)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("EXP_ALLOW", "mine")
    assert type(build(config_of("model=linear", "~model.bias", "model._target_=mine.Wide")).model).__name__ == "Wide"


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("how", ["torch.save", "pickle"])
def test_a_pickled_checkpoint_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "last.pt"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"format": 1, "model": Hostile()}))
    else:
        torch.save({"format": 1, "model": Hostile()}, path)
    with pytest.raises(CheckpointError, match=r"last.pt cannot be read"):
        checkpoint.read(path)
    assert not (tmp_path / "ran").exists()
