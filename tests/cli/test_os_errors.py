"""Files and folders that the system refuses: one line, with what to type, and no traceback."""

import errno
import os

import pytest

from exp.cli.commands import run_command
from exp.cli.os_errors import explain_os_error


def refusal(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)


@pytest.mark.parametrize(
    ("code", "path", "given", "message"),
    [
        (
            errno.EACCES,
            "a run/x",
            {"run": "a run"},
            "run=a run: permission denied: a run/x\n  try: chmod -R u+rwX 'a run'",
        ),
        (errno.EACCES, "r/report.tmp", {"run": "r"}, "run=r: permission denied: r/report.tmp\n  try: chmod -R u+rwX r"),
        (
            errno.EACCES,
            "p.csv",
            {"run": "r", "out": "p.csv"},
            "out=p.csv: permission denied\n  try: out=ANOTHER_FOLDER/p.csv",
        ),
        (errno.EACCES, "p.tmp", {"out": "p.csv"}, "out=p.csv: permission denied: p.tmp\n  try: out="),
        (
            errno.EACCES,
            "outputs",
            {"hydra.run.dir": "r"},
            "outputs: permission denied\n  try: hydra.run.dir=ANOTHER_FOLDER",
        ),
        (
            errno.ENOSPC,
            "p.csv",
            {"out": "p.csv"},
            "out=p.csv: no space left on device\n  try: free some space on the disk",
        ),
        (errno.ENAMETOOLONG, "d.csv", {"data": "d.csv"}, "data=d.csv: file name too long\n  try: hydra.run.dir="),
    ],
)
def test_a_refusal_names_the_key_and_what_to_type(code: int, path: str, given: dict[str, str], message: str):
    assert str(explain_os_error(refusal(code, path), given, "hydra.run.dir")).startswith(message)


def test_a_command_ends_with_the_refusal():
    def report(run: str) -> None:
        """Refuse.

        python -m exp report run=FOLDER
        """
        raise refusal(errno.EACCES, f"{run}/report.html")

    with pytest.raises(SystemExit, match=r"exp report: run=r: permission denied: r/report\.html"):
        run_command(report, ["run=r"])
