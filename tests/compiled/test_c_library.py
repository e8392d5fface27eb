"""Compiled libraries are kept in the user's cache: whole, for one CPU and compiler, and safe to run."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch
from compiling import CompiledFunction

from exp.compiled import c_compiler, c_library
from exp.compiled.uncompilable import Uncompilable
from exp.data.mapped.cache import clear, list_entries
from exp.training.interrupts import graceful_stop


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
    assert "int64_t play(" in library.with_suffix(".c").read_text(encoding="utf-8")
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


def test_a_library_that_is_renamed_is_compiled_again(cache: Path):
    double()
    (library,) = libraries(cache)
    rows = torch.ones(4, 2)
    other = CompiledFunction(torch.sum, rows)
    assert other(rows).tolist() == 8
    (another,) = set(libraries(cache)) - {library}
    swapped = library.with_suffix(".swapped")
    swapped.write_bytes(another.read_bytes())
    swapped.replace(library)
    assert double() == [2, 4, 6]


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
    for name in ("describe_cpu", "describe_compiler"):
        monkeypatch.setattr(c_library, name, lambda *_: "another")
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
    cleared = clear()
    assert cleared.startswith("removed 0 datasets and the compiled steps, ")
    assert cleared.endswith(" kB")
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


def broken_compiler(folder: Path, patch: pytest.MonkeyPatch, script: str, otherwise: str = "exit 0") -> None:
    """Let CC name a compiler that does this."""
    compiler = folder / "broken-cc"
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] && {{ {otherwise}; }}\n{script}\n')
    compiler.chmod(0o755)
    patch.setenv("CC", str(compiler))


LINKER = "/usr/bin/ld: final link failed: No space left on device\ncollect2: error: ld returned 1 exit status"
NO_LIBRARY = "/usr/bin/ld: cannot find -lm\ncollect2: error: ld returned 1 exit status"
OUT_OF_MEMORY = "gcc: fatal error: Killed signal terminated program cc1"
LIBRARY = 'while [ "$1" != -o ]; do shift; done; echo no ELF > "$2"'


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo note; echo 'fatal error: no space' >&2; exit 1", "broken-cc failed: fatal error: no space$"),
        (f"echo '{LINKER}' >&2; exit 1", "failed: /usr/bin/ld: final link failed: No space left on device$"),
        (f"echo '{NO_LIBRARY}' >&2; exit 1", "failed: /usr/bin/ld: cannot find -lm$"),
        ("exit 3", "broken-cc failed: exit code 3$"),
        (
            "kill -KILL $$",
            r"broken-cc was killed \(signal 9\), perhaps for lack of memory: free some, and begin a new run$",
        ),
        ("kill -TERM $$", r"broken-cc was killed \(signal 15\): begin a new run$"),
        (f"echo '{OUT_OF_MEMORY}' >&2; exit 1", r"broken-cc was killed \(signal 9\), perhaps for lack of memory: "),
        ("exit 0", "broken-cc wrote no library: CC must name a C compiler$"),
        (LIBRARY, "what broken-cc wrote cannot be loaded: .*step.so: "),
    ],
)
def test_a_compiler_that_fails(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str):
    broken_compiler(tmp_path, monkeypatch, script)
    with pytest.raises(Uncompilable, match=said):
        double()
    assert [path.name for path in cache.iterdir()] == ["dataset.txt"]


def test_a_compiler_that_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    broken_compiler(tmp_path, monkeypatch, "")
    (tmp_path / "broken-cc").write_text("no script")
    with pytest.raises(Uncompilable, match="broken-cc cannot be run: Exec format error"):
        double()


def test_a_compiler_that_hangs(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """After the time limit it is killed with its children, which hold its output open."""
    broken_compiler(tmp_path, monkeypatch, f"sleep 60 & echo $! > {tmp_path}/child; wait")
    monkeypatch.setattr(c_compiler, "_MAX_SECONDS", 0.2)
    monkeypatch.setattr(c_compiler, "_PATIENCE", 0.1)
    with pytest.raises(Uncompilable, match=r"broken-cc took longer than 0\.2 seconds"):
        double()
    assert (
        "note: engine=compiled: broken-cc is still compiling the step; Ctrl-C twice kills it" in capsys.readouterr().err
    )
    assert is_gone(int((tmp_path / "child").read_text()))
    assert [path.name for path in cache.iterdir()] == ["dataset.txt"]


def test_ctrl_c_ends_a_compiler_and_a_terminal_does_not(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A terminal sends SIGINT to a process group. The second one raises KeyboardInterrupt in this process."""
    group = f"cut -d' ' -f5 /proc/$$/stat > {tmp_path}/group"
    broken_compiler(
        tmp_path,
        monkeypatch,
        f"{group}; sleep 60 & echo $! > {tmp_path}/child; kill -INT $PPID; sleep 0.2; kill -INT $PPID; wait",
    )
    with pytest.raises(KeyboardInterrupt), graceful_stop():
        double()
    assert int((tmp_path / "group").read_text()) != os.getpgrp()
    assert is_gone(int((tmp_path / "child").read_text()))
    assert [path.name for path in cache.iterdir()] == ["dataset.txt"]


def is_gone(process: int) -> bool:
    """Return whether the process has ended within a few seconds, perhaps without somebody that waits for it."""
    for _ in range(500):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_a_full_disk_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """An error of writing has no file name."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(Uncompilable, match=f"steps cannot be used: {cache}: No space left on device"):
        double()


def test_a_cache_that_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch):
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file")
    with pytest.raises(
        Uncompilable,
        match=r"no place for compiled steps: EXP_CACHE: .*cache cannot be written: .*cache is not a folder",
    ):
        double()
    monkeypatch.setenv("EXP_CACHE", str(cache))  # below the file
    with pytest.raises(Uncompilable, match=f"{cache} cannot be written: {cache.parent} is not a folder"):
        double()
    monkeypatch.setenv("EXP_CACHE", str(cache.parent))
    cache.parent.unlink()
    cache.parent.mkdir()
    cache.write_text("a file")
    with pytest.raises(Uncompilable, match=f"the folder of compiled steps cannot be used: {cache}: it is not a folder"):
        double()
    monkeypatch.delenv("EXP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(Uncompilable, match="no place for compiled steps: the cache folder /proc/nowhere/exp cannot be"):
        c_library.load_library("")
