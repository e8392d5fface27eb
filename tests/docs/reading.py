"""Read the blocks of a documentation page and carry them out: write its files, run its commands, compare the output.

`PYTHONPATH=docs python tests/docs/reading.py index.md` prints what that page's commands print.
"""

import functools
import math
import os
import re
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from making.pages import build_pages

from exp.api import isolated_state
from exp.cli.main import main

# The title of blocks whose commands need the repository.
CHECKOUT = "in the checkout"

_BLOCK = re.compile(r"^```(?:(\w+)|\s*\{\s*\.(\w+)[^}\n]*?)?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Subcommands that run in a new process: verify kills processes, and torch warns during an export.
_SEPARATE = {"verify", "export"}
_SECONDS = re.compile(r"\d+(\.\d+)?")
_BETWEEN = re.compile(r"[,{}()\[\]]")
# Output that differs in every run.
_OF_THE_MOMENT = [
    (re.compile(r"(/\S*/)?outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-\d+"), "FOLDER"),
    (re.compile(r"\bin [\d.,]+ s\b"), "in SECONDS"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(T[\d:+.]+| \d\d:\d\d)"), "WHEN"),
    (re.compile(r"^(machine|versions) .*$", re.MULTILINE), r"\1"),
    (re.compile(r"\b(parameters of|at) step [\d,]+"), r"\1 STEP"),  # of the best parameters: another CPU, another step
    (re.compile(r"^\d+ of \d+ done, .*$", re.MULTILINE), ""),
]


@dataclass
class Block:
    """Commands to run, or a file to write to the path `title`; `printed` is the output that the page shows."""

    language: str
    title: str
    text: str
    printed: list[str] = field(default_factory=list)

    @property
    def needs(self) -> str | None:
        """What the block needs besides an empty folder, as its title says."""
        return self.title if self.title.startswith("needs ") or self.title == CHECKOUT else None

    @property
    def exit_code(self) -> int:
        code = re.fullmatch(r"ends with exit code (\d+)", self.title)
        return int(code[1]) if code else 0

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]


# Cached, because it reads every YAML file.
pages = functools.cache(build_pages)


def blocks(page: str) -> list[Block]:
    """Return the commands and files of the page in its order."""
    return parse(pages()[page])


def parse(text: str) -> list[Block]:
    """Return the commands and files of a page's text in its order."""
    parsed: list[Block] = []
    last: Block | None = None
    for match in _BLOCK.finditer(text):
        title = re.search(r'title="(.+?)"', match[0].partition("\n")[0])
        block = Block(match[1] or match[2] or "", title[1] if title else "", match[4])
        if block.language == "bash":
            last = block
            parsed.append(block)
        elif block.language == "text" and not block.title and last is not None:
            last.printed.append(block.text)
        elif block.language != "text" and block.title:
            parsed.append(block)
    return parsed


@dataclass
class Reader:
    """Carries out the blocks of a page in `folder`, with the variables that the page exports."""

    folder: Path
    exported: dict[str, str] = field(default_factory=dict)

    def do(self, block: Block) -> str:
        """Write the block's file, or run its commands and return their output. AssertionError for a wrong exit code."""
        if block.language != "bash":
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            return ""
        printed = ""
        for line in block.lines:
            if line.startswith("export "):
                self.exported |= dict([line.removeprefix("export ").split("=", 1)])
                continue
            code, out, err = self.command(line)
            assert code == block.exit_code, f"{line}\nended with exit code {code}:\n{out}{err}"
            printed += out + (err if code else "")
        return printed

    def difference(self, page: list[Block]) -> str | None:
        """Do the blocks that need nothing. Return the first output that is not the one that the page shows, or None."""
        for block in (block for block in page if block.needs is None):
            printed = self.do(block)
            for shown in block.printed:
                if (difference := differences(shown, printed)) is not None:
                    return f"{block.text}{difference}"
        return None

    def command(self, line: str) -> tuple[int, str, str]:
        """Return the exit code, stdout and stderr of a line. A command of exp runs in this process, to save seconds."""
        words = shlex.split(line)
        plain = words[:3] == ["python", "-m", "exp"] and not set(line) & set("|<>;&$")
        if plain and not self.exported and _SEPARATE.isdisjoint(words[3:4]):
            return _run_here(words[3:], self.folder)
        place = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **self.exported}
        shell = ["bash", "-c", line]
        done = subprocess.run(shell, cwd=self.folder, env=place, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout, done.stderr


def _run_here(arguments: list[str], folder: Path) -> tuple[int, str, str]:
    out, err, before, code = StringIO(), StringIO(), sys.argv, 0
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), isolated_state():
        sys.argv = ["exp", *arguments]
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            err.write(stop.code if isinstance(stop.code, str) else "")
        finally:
            sys.argv = before
    return code, out.getvalue(), err.getvalue()


def differences(shown: str, printed: str) -> str | None:
    """The first line of the page that was not printed, or None. A line `...` matches any number of lines."""
    theirs = _settled(printed)
    at, anywhere = 0, False
    for line in _settled(shown):
        if line == ["..."]:
            anywhere = True
            continue
        found = next((i for i in range(at, len(theirs)) if _same(line, theirs[i])), None)
        if found is None or (found != at and not anywhere):
            return f"{' '.join(line)}\nis not what was printed:\n{printed}"
        at, anywhere = found + 1, False
    return None if anywhere or at == len(theirs) else f"more was printed than the page says:\n{printed}"


def _settled(text: str) -> list[list[str]]:
    """The words of each line, without what differs in every run."""
    for pattern, replacement in _OF_THE_MOMENT:
        text = pattern.sub(replacement, text)
    lines: list[list[str]] = []
    timed = False  # whether the line is a row of a table whose last column is headed `seconds`
    for words in (words for line in text.splitlines() if (words := _BETWEEN.sub(" ", line).split())):
        timed = timed and _SECONDS.fullmatch(words[-1]) is not None
        lines.append(words[:-1] if timed else words)
        timed = timed or words[-1] == "seconds"
    return lines


def _same(shown: list[str], printed: list[str]) -> bool:
    return len(shown) == len(printed) and all(map(_alike, shown, printed))


def _alike(shown: str, printed: str) -> bool:
    """Whether the words are equal. Another CPU rounds differently, which in 1,000 steps moves a loss by up to 3 %."""
    if shown == printed:
        return True
    try:
        return "." in shown and math.isclose(float(shown), float(printed), rel_tol=3.5e-2)
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
