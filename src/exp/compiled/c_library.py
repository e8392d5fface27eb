"""Compile C with the machine's compiler, and keep the libraries in the user's cache folder.

A library is named by a hash of all that it depends on. The file ends with a hash of its name and content, so a damaged
or renamed one is compiled again. Only a folder that nobody else may write to is used, because libraries are code.
"""

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

import torch

from exp.compiled.c_compiler import describe_compiler, find_compiler, run_compiler
from exp.compiled.uncompilable import Uncompilable
from exp.data.mapped.cache import COMPILED, LABEL, cache_folder
from exp.errors import DataError, first_line

# Without -ffast-math: NaN and inf are handed on. The compiler may fuse a product and a sum, which rounds once less.
OPTIMIZATION = "-O3"
_FLAGS = ["-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-shared", "-fPIC", "-w"]
_NATIVE = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"

# A folder that is so many seconds old is of a killed process: no compilation takes so long.
_ABANDONED = 3600

_DIGEST_BYTES = hashlib.sha256().digest_size


def load_library(source: str) -> tuple[ctypes.CDLL, str, float | None]:
    """Return the compiled library, its name, and the seconds that compiling took; None: it was in the cache.

    Raises:
        Uncompilable: There is no C compiler, it fails, or the cache cannot be used.
    """
    everything = "\n".join([source, describe_compiler(find_compiler()), *_flags(), describe_cpu()])
    name = hashlib.sha256(everything.encode()).hexdigest()[:32]
    try:
        library, seconds = _make_folder() / f"{name}.so", None
        if not _is_whole(library):
            began = time.perf_counter()
            _compile(source, library)
            seconds = time.perf_counter() - began
        return ctypes.CDLL(str(library)), name, seconds
    except DataError as error:
        raise Uncompilable(f"no place for compiled steps: {error.problem}") from error
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        what = "it is not a folder" if is_file else error.strerror or first_line(error)
        reason = f"{error.filename or cache_folder() / COMPILED}: {what}"
        raise Uncompilable(f"the folder of compiled steps cannot be used: {reason}") from error


def _make_folder() -> Path:
    """Return the folder of compiled libraries, for its owner only."""
    folder = cache_folder(create=True) / COMPILED
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.stat()
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        raise Uncompilable(f"others may write to {folder}, and libraries there are run")
    if not (folder / LABEL).exists():  # `exp cache` shows and removes it like a dataset
        (folder / LABEL).write_text("compiled steps", encoding="utf-8")
    return folder


def _is_whole(library: Path) -> bool:
    """Return whether the file exists and ends with the hash of its name and of what is before."""
    try:
        content = library.read_bytes()
    except FileNotFoundError:
        return False
    return _digest(library, content[:-_DIGEST_BYTES]) == content[-_DIGEST_BYTES:]


def _digest(library: Path, content: bytes) -> bytes:
    """Return a hash of what a library with that name contains: one of another step, renamed, would write anywhere."""
    return hashlib.sha256(library.name.encode() + content).digest()


def _compile(source: str, library: Path) -> None:
    """Compile the source to `library`, and keep the source next to it. The last of several processes replaces it."""
    for left in library.parent.glob("unfinished-*"):  # of a killed process
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - _ABANDONED:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=library.parent, prefix="unfinished-") as temporary:
        text, result = Path(temporary) / "step.c", Path(temporary) / "step.so"
        text.write_text(source, encoding="utf-8")
        compiler = find_compiler()
        run_compiler((*compiler, *_flags(), str(text), "-o", str(result), "-lm"))
        _check_library(result, Path(compiler[0]).name)
        with result.open("ab") as file:  # the loader ignores what follows the library
            file.write(_digest(library, result.read_bytes()))
        text.replace(library.with_suffix(".c"))
        result.replace(library)


def _check_library(library: Path, compiler: str) -> None:
    """Raise Uncompilable if the compiler wrote nothing, or nothing that this process can load."""
    if not library.is_file():
        raise Uncompilable(f"{compiler} wrote no library: CC must name a C compiler")
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        reason = first_line(error).replace(str(library), library.name)
        raise Uncompilable(f"what {compiler} wrote cannot be loaded: {reason}") from error


def _flags() -> list[str]:
    return [OPTIMIZATION, *_FLAGS, _NATIVE]


@cache
def describe_cpu() -> str:
    """Return the model and the instructions of the CPU, which compiled code depends on."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        wanted = ("model name", "flags", "Features", "CPU part")
        return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
    return f"{platform.machine()} {platform.processor()} {platform.platform()}"


@cache
def sgemm_address() -> int:
    """Return the address of the matrix product of torch's BLAS; 0: it exports none, and products are made in tiles."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.cast(ctypes.CDLL(str(library)).sgemm_, ctypes.c_void_p).value or 0
    return 0
