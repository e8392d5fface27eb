"""Describe what results depend on besides the config: machine, versions, commit."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return CPU, cores, memory, versions, threads, GPU, and the commit of the code (None outside a checkout)."""
    return {
        **_describe_process(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


@cache
def _describe_process() -> dict[str, Any]:
    """Return what stays the same in a process. Cached, because every job of a sweep needs it."""
    return {
        "cpu": _read_cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": _read_memory_gib(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # with the build, as 2.13.0+cu130, which not every package's version has
        **{name: version(name) for name in ("numpy", "scikit-learn", "hydra-core", "tensorboard")},
        "cuda": torch.version.cuda,
        "commit": _read_commit(),
    }


def _read_cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read_memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # on Windows
        return None


def _read_commit() -> str | None:
    """Return the commit of the running code, with the suffix -dirty if files were changed."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
