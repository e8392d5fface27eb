"""Compiled libraries are kept in the user's cache: whole, for one CPU and compiler, and safe to run."""

import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from compiling import CompiledFunction

from exp.compiled import c_library
from exp.compiled.uncompilable import Uncompilable
from exp.data.mapped.cache import clear, list_entries


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


def double() -> list[float]:
    x = torch.tensor([1.0, 2.0, 3.0])
    return CompiledFunction(lambda x: x * 2, x)(x).tolist()


def libraries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.so"))


def test_a_library_is_compiled_once(cache: Path, monkeypatch: pytest.MonkeyPatch):
    assert double() == [2, 4, 6]
    (library,) = libraries(cache)
    assert "void play(" in library.with_suffix(".c").read_text(encoding="utf-8")
    monkeypatch.setattr(c_library, "_compile", None)
    assert double() == [2, 4, 6]


def test_only_its_owner_may_use_the_folder(cache: Path):
    double()
    assert cache.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o777)
    with pytest.raises(Uncompilable, match=f"others may write to {cache}, and libraries there are run"):
        double()


@pytest.mark.parametrize("kept", [0, 5000, -1000])
def test_a_damaged_library_is_compiled_again(cache: Path, kept: int):
    double()
    (library,) = libraries(cache)
    damaged = library.with_suffix(".damaged")
    damaged.write_bytes(library.read_bytes()[:kept])
    damaged.replace(library)
    assert double() == [2, 4, 6]
    assert c_library._is_whole(library)


def test_what_a_killed_compiler_left_is_removed(cache: Path):
    double()
    killed, running = cache / "unfinished-a", cache / "unfinished-b"
    for folder in (killed, running):
        folder.mkdir()
        (folder / "step.c").write_text("")
    os.utime(killed, (0, 0))
    (library,) = libraries(cache)
    library.unlink()
    assert double() == [2, 4, 6]
    assert not killed.exists()
    assert running.exists()


def test_another_cpu_or_compiler_is_another_library(cache: Path, monkeypatch: pytest.MonkeyPatch):
    double()
    for name in ("describe_cpu", "_describe_compiler"):
        monkeypatch.setattr(c_library, name, lambda: "another")
        double()
    assert len(libraries(cache)) == 3


def test_two_processes_may_compile_the_same_at_once(cache: Path):
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        results = [pool.apply_async(double) for _ in range(4)]
        assert [result.get(60) for result in results] == [[2, 4, 6]] * 4
    assert len(libraries(cache)) == 1
    assert not list(cache.glob("unfinished-*"))


def test_exp_cache_lists_and_removes_compiled_steps(cache: Path):
    double()
    (entry,) = list_entries()
    assert entry.label == "compiled steps"
    assert clear().startswith("removed 0 datasets and the compiled steps, 0 MB")
    assert not cache.exists()
    assert double() == [2, 4, 6]


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Uncompilable, match="there is no C compiler: install one, such as gcc, or name it in CC"):
        double()


@pytest.mark.parametrize("command", ["cc -O0", "env cc", " "])
def test_a_compiler_with_arguments(monkeypatch: pytest.MonkeyPatch, command: str):
    monkeypatch.setenv("CC", command)
    assert double() == [2, 4, 6]


def test_a_compiler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "no-such-cc -O0")
    with pytest.raises(Uncompilable, match="CC=no-such-cc -O0: there is no such compiler"):
        double()


def test_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    compiler = tmp_path / "broken-cc"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] || { echo "fatal error: no space" >&2; exit 1; }\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(Uncompilable, match="broken-cc failed: fatal error: no space"):
        double()


def test_a_cache_that_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch):
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file")
    with pytest.raises(Uncompilable, match=r"no place for compiled steps: EXP_CACHE: .* written: File exists"):
        double()
    cache.parent.unlink()
    cache.parent.mkdir()
    cache.write_text("a file")
    with pytest.raises(Uncompilable, match=f"the folder of compiled steps cannot be used: {cache}: File exists"):
        double()
    monkeypatch.delenv("EXP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(Uncompilable, match="no place for compiled steps: the cache folder /proc/nowhere/exp cannot be"):
        c_library.load_library("")


def test_scipys_matrix_product_is_there():
    assert c_library._scipy_sgemm() != 0
    assert os.environ["EXP_CACHE"]
