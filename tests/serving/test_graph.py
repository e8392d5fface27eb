"""What PyTorch cannot write, or cannot read again, is an error, and no file is left."""

import resource
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from exp.errors import ConfigError
from exp.serving.graph import write_graph


class _DependsOnValues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def _write(module: nn.Module, path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        write_graph(module, torch.ones(2, 3), "features", "pt2", path)
    assert not path.exists()
    return error.value.problem


def test_a_model_that_cannot_be_exported(tmp_path: Path):
    problem = _write(_DependsOnValues(), tmp_path / "model.pt2")
    assert problem.startswith("format=pt2: PyTorch cannot export the model: ")


def test_a_file_that_cannot_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def load(_: object) -> None:
        raise TypeError("as with torch 2.6")

    monkeypatch.setattr(torch.export, "load", load)
    problem = _write(nn.Linear(3, 1), tmp_path / "model.pt2")
    assert problem == "format=pt2: PyTorch cannot export the model: TypeError: as with torch 2.6"


@pytest.mark.slow
@pytest.mark.parametrize("format", ["pt2", "onnx"])
@pytest.mark.parametrize("kilobytes", [1, 16])
def test_a_disk_that_becomes_full_leaves_no_file(format: str, kilobytes: int, tmp_path: Path):
    """A limit on the size of a file acts like a full disk: for the graph, or for the file of its parameters."""
    if format == "onnx":
        pytest.importorskip("onnxscript")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, usual[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_graph(nn.Linear(90, 90), torch.ones(2, 90), "features", format, tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert list(tmp_path.iterdir()) == []
