"""Run the machine's C compiler: Ctrl-C in a terminal does not reach it, and one that hangs is killed."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

from exp.compiled.uncompilable import Uncompilable

# A compiler that takes longer is killed.
_MAX_SECONDS: float = 600

# After so many seconds a line says what is being waited for.
_PATIENCE: float = 10

# What the driver of a compiler says at last, after the cause.
_SUMMARIES = ("collect2:", "compilation terminated", "linker command failed", "make:")

_KILLED_PART = re.compile(
    r"(?:Killed|\bsignal 9)\b.*(?:terminated program|command failed)|command failed.*\bsignal 9\b"
)


def find_compiler() -> tuple[str, ...]:
    """Return the command of the compiler: that in CC, perhaps with arguments, as `make` runs it, or else cc."""
    given = os.environ.get("CC", "").strip()
    try:
        words = shlex.split(given) or ["cc"]
    except ValueError as error:
        raise Uncompilable(f"CC={given} is not a command: {error}") from error
    program = shutil.which(words[0])
    if program is None:
        raise Uncompilable(
            f"CC={given}: there is no such compiler"
            if given
            else "there is no C compiler: install one, such as gcc, or name it in CC"
        )
    return program, *words[1:]


@cache
def describe_compiler(compiler: tuple[str, ...]) -> str:
    """Return the command and the version of the compiler."""
    _, version, _ = _run((*compiler, "--version"))
    return f"{shlex.join(compiler)} {version}"


def run_compiler(command: tuple[str, ...]) -> None:
    """Compile with this command.

    Raises:
        Uncompilable: The compiler cannot be run, fails, is killed, or takes longer than ten minutes.
    """
    name = Path(command[0]).name
    code, _, said = _run(command)
    if code:
        if _KILLED_PART.search(said):  # the driver lives on
            raise _killed(name, signal.SIGKILL)
        raise Uncompilable(f"{name} failed: {_find_cause(said, command) or f'exit code {code}'}")


def _run(command: tuple[str, ...]) -> tuple[int, str, str]:
    """Return the exit code, the output and the errors of the command. It is killed if an exception ends the waiting.

    It has a session of its own: a terminal sends Ctrl-C to all processes of a group, and the first one only asks the
    run to stop, as soon as the step is there.
    """
    name = Path(command[0]).name
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise Uncompilable(f"{name} cannot be run: {error.strerror}") from error
    with process:
        try:
            output, errors = _wait(process, name)
        except BaseException:  # also Ctrl-C
            _kill(process)
            raise
    if process.returncode < 0:
        raise _killed(name, -process.returncode)
    return process.returncode, output, errors


def _wait(process: "subprocess.Popen[str]", name: str) -> tuple[str, str]:
    try:
        return process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        print(
            f"note: engine=compiled: {name} is still compiling the step; Ctrl-C twice kills it",
            file=sys.stderr,
            flush=True,
        )
    try:
        return process.communicate(timeout=_MAX_SECONDS - _PATIENCE)
    except subprocess.TimeoutExpired as error:
        limit = f"{_MAX_SECONDS / 60:g} minutes" if _MAX_SECONDS >= 60 else f"{_MAX_SECONDS:g} seconds"
        raise Uncompilable(f"{name} took longer than {limit}") from error


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill the process and those that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()  # after Ctrl-C, leaving the context does not


def _killed(name: str, number: int) -> Uncompilable:
    memory = ", perhaps for lack of memory: free some, and" if number == signal.SIGKILL else ":"
    return Uncompilable(f"{name} was killed (signal {number}){memory} begin a new run")


def _find_cause(said: str, command: tuple[str, ...]) -> str:
    """Return the line that names the cause, without the folders of the files; empty: there is none."""
    lines = [line for line in said.splitlines() if not any(summary in line for summary in _SUMMARIES)]
    causes = [line for line in lines if re.search("error|No space|failed", line)]
    line = next(iter([*causes, *lines]), "")
    for file in (word for word in command if word.endswith(("step.c", "step.so"))):
        line = line.replace(file, Path(file).name)
    return line[:120]
