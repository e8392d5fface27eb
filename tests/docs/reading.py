"""A page of the documentation as what it has one write, type and see; and all of that done.

`PYTHONPATH=docs python tests/docs/reading.py index.md` prints what that page's commands print.
"""

import functools
import math
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from making.pages import build_pages

from exp.api import _isolated_state
from exp.cli.main import main

# Lines for the repository itself, whose tests and scripts they name.
CHECKOUT = "in the checkout"

_BLOCK = re.compile(r"^```(?:(\w+)|\s*\{\s*\.(\w+)[^}\n]*?)?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What measures processes, or has torch warn of itself, where tests take a warning for an error.
_APART = ("exp.verify", "exp.export")
_BETWEEN = re.compile(r"[,{}()\[\]]")
# What no two runs have in common.
_OF_THE_MOMENT = [
    (re.compile(r"(/\S*/)?outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-\d+"), "FOLDER"),
    (re.compile(r"\bin [\d.,]+ s\b"), "in SECONDS"),
    (re.compile(r"^(machine|versions) .*$", re.MULTILINE), r"\1"),
    (re.compile(r"^\d+ of \d+ done, .*$", re.MULTILINE), ""),
]


@dataclass
class Block:
    """Lines to type, or a file to write where `title` names it; `printed` is what the page says comes of it."""

    language: str
    title: str
    text: str
    printed: list[str] = field(default_factory=list)

    @property
    def needs(self) -> str | None:
        """What the reader needs for it and an empty folder has not, as the page says."""
        return self.title if self.title.startswith("needs ") or self.title == CHECKOUT else None

    @property
    def exit_code(self) -> int:
        code = re.fullmatch(r"ends with exit code (\d+)", self.title)
        return int(code[1]) if code else 0

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]


# Made once: each look at every YAML takes a while.
_pages = functools.cache(build_pages)


def blocks(page: str) -> Iterator[Block]:
    """What the page has one type and write, in its order."""
    last: Block | None = None
    for match in _BLOCK.finditer(_pages()[page]):
        title = re.search(r'title="(.+?)"', match[0].partition("\n")[0])
        block = Block(match[1] or match[2] or "", title[1] if title else "", match[4])
        if block.language == "bash":
            last = block
            yield block
        elif block.language == "text" and last is not None:
            last.printed.append(block.text)
        elif block.title:
            yield block


@dataclass
class Reader:
    """Who does what a page says, in `folder`, with the environment that it has exported."""

    folder: Path
    exported: dict[str, str] = field(default_factory=dict)

    def do(self, block: Block) -> str:
        """Write the block's file, or make its commands: what they printed. AssertionError if one ends otherwise."""
        if block.language != "bash":
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            return ""
        told = ""
        for line in block.lines:
            if line.startswith("export "):
                self.exported |= dict([line.removeprefix("export ").split("=", 1)])
                continue
            code, out, err = self.command(line)
            assert code == block.exit_code, f"{line}\nended with exit code {code}:\n{out}{err}"
            told += out + (err if code else "")
        return told

    def command(self, line: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a line. One that is exp's alone is made in this process, to save seconds."""
        words = shlex.split(line)
        ours = words[:2] == ["python", "-m"] and re.fullmatch(r"exp(\.\w+)?", words[2]) is not None
        if ours and not self.exported and not set(line) & set("|<>;&$") and words[2] not in _APART:
            return _here(words[2], words[3:], self.folder)
        place = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **self.exported}
        shell = ["bash", "-c", line]
        done = subprocess.run(shell, cwd=self.folder, env=place, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout, done.stderr


def _here(module: str, words: list[str], folder: Path) -> tuple[int, str, str]:
    out, err, before, code = StringIO(), StringIO(), sys.argv, 0
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), _isolated_state():
        sys.argv = [module, *words]
        try:
            if module == "exp":
                main()
            else:
                spec = find_spec(module)
                assert spec is not None
                assert spec.origin is not None
                runpy.run_path(spec.origin, run_name="__main__")
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            err.write(stop.code if isinstance(stop.code, str) else "")
        finally:
            sys.argv = before
    return code, out.getvalue(), err.getvalue()


def differences(said: str, printed: str) -> str | None:
    """The first line that the page says and that did not come; a line ... stands for any number of them."""
    theirs = _settled(printed)
    at, anywhere = 0, False
    for line in _settled(said):
        if line == ["..."]:
            anywhere = True
            continue
        found = next((i for i in range(at, len(theirs)) if _same(line, theirs[i])), None)
        if found is None or (found != at and not anywhere):
            return f"{' '.join(line)}\nis not what was printed:\n{printed}"
        at, anywhere = found + 1, False
    return None if anywhere or at == len(theirs) else f"more was printed than the page says:\n{printed}"


def _settled(text: str) -> list[list[str]]:
    """The words of each line, without what is another at each time."""
    for pattern, stands_for in _OF_THE_MOMENT:
        text = pattern.sub(stands_for, text)
    lines = [words for line in text.splitlines() if (words := _BETWEEN.sub(" ", line).split())]
    if timed := next((len(words) for words in lines if words[-1] == "seconds"), None):
        return [words[:-1] if len(words) == timed else words for words in lines]
    return lines


def _same(said: list[str], printed: list[str]) -> bool:
    return len(said) == len(printed) and all(map(_alike, said, printed))


def _alike(said: str, printed: str) -> bool:
    """The same word; another kind of processor may round the last digit of a number otherwise."""
    if said == printed:
        return True
    try:
        return math.isclose(float(said), float(printed), rel_tol=2e-3)
    except ValueError:
        return False


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder))
        for one in blocks(sys.argv[1]):
            if one.needs is None:
                print(f"$ {one.text if one.language == 'bash' else one.title}", flush=True)
                print(reader.do(one), flush=True)
