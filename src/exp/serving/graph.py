"""Write a module as a file for PyTorch (.pt2) or for ONNX runtimes."""

import io
import logging
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exp.errors import ConfigError, require_extra
from exp.results.atomic import moved_together, replacement


def write_graph(module: nn.Module, x: Tensor, name: str, format: str, path: Path) -> dict[str, str | int]:
    """Write a module that takes any number of rows.

    Args:
        x: Two rows of its input, which is called `name` in the file.
        format: pt2 or onnx.

    Returns:
        The versions that the file depends on.

    Raises:
        ConfigError: A package is not installed, or PyTorch cannot export the module.
    """
    any_rows = ({0: torch.export.Dim("rows")},)
    versions: dict[str, str | int] = {"torch": str(torch.__version__)}
    if format == "pt2":
        content = io.BytesIO()  # the system raises OSError, where torch's writer raises RuntimeError
        try:
            with warnings.catch_warnings(action="ignore"):  # of what recurrent layers do while they are exported
                torch.export.save(torch.export.export(module, (x,), dynamic_shapes=any_rows), content)
                content.seek(0)
                torch.export.load(content)  # torch 2.6 saves some programs that it cannot load
        except Exception as error:  # torch raises many types
            raise _refuse(format, error) from error
        with replacement(path, shared=True) as temporary:
            temporary.write_bytes(content.getvalue())
        return versions
    require_onnx()
    # Torch logs and warns about packages that are not needed, and about its own deprecations.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    options: dict[str, Any] = {"input_names": [name], "output_names": ["predictions"], "dynamo": True, "verbose": False}
    with warnings.catch_warnings(action="ignore"):
        try:
            with moved_together(path) as temporary:  # large parameters are a file of their own, which the graph names
                program = torch.onnx.export(module, (x,), temporary, dynamic_shapes=any_rows, **options)
        except OSError:
            raise
        except Exception as error:
            raise _refuse(format, error) from error
    assert program is not None
    return {**versions, "onnx": version("onnx"), "opset": int(program.model.opset_imports[""])}


def require_onnx() -> None:
    """Raise ConfigError, with the pip command, if a package that ONNX files are written and checked with is missing."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        with require_extra(package, "format=onnx", "onnx"):
            import_module(package)


def _refuse(format: str, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:300]
    return ConfigError(
        f"format={format}: PyTorch cannot export the model: {type(error).__name__}: {reason}",
        "format=script, or a newer version of PyTorch",
    )
