"""Both sides of "Coming from Lightning, Keras, skorch or scikit-learn" run, print what the page shows, and agree."""

import importlib.util
import re
import runpy
import sys
from pathlib import Path

import pytest
from reading import Block, Reader, blocks, differences

PAGE = "coming_from.md"
# The command and the file of exp beside each script, and how far the loss may be: 0 where both make the same updates.
SIDES = {
    "lightning": ("evaluate", 0.0),
    "skorch": ("call.py", 0.0),
    "keras": ("module.py", 0.02),
    "sklearn": ("estimator.py", 0.02),
}
ROW = 1 / 115  # in the accuracy of the test rows


def files() -> dict[str, str]:
    return {block.title: block.text for block in blocks(PAGE) if block.language == "python"}


def commands(word: str) -> Block:
    return next(block for block in blocks(PAGE) if block.language == "bash" and word in block.text)


def measures(printed: str) -> tuple[float, float]:
    """The loss and the accuracy that were printed last."""
    loss, accuracy = re.findall(r"^loss (\S+)\naccuracy (\S+)$", printed, re.MULTILINE)[-1]
    return float(loss), float(accuracy)


def compare(other: str, ours: str, distance: float) -> None:
    (loss, accuracy), (our_loss, our_accuracy) = measures(other), measures(ours)
    assert abs(loss - our_loss) <= distance
    assert abs(accuracy - our_accuracy) < (1.01 * ROW if distance else 1e-6)  # float32 in some of them


def test_no_side_is_longer_than_twenty_lines():
    for name, text in files().items():
        assert sum(bool(line.strip()) for line in text.splitlines()) <= 20, name


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")  # it means the 20 epochs
def test_scikit_learn_and_the_estimator_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    printed: list[str] = []
    for name in ("with_sklearn.py", "estimator.py"):
        with pytest.MonkeyPatch.context() as patch:
            patch.delitem(sys.modules, "tumours", raising=False)
            runpy.run_path(name)
        printed.append(capsys.readouterr().out)
        assert differences(commands(name).printed[0], printed[-1]) is None
    compare(*printed, SIDES["sklearn"][1])


@pytest.mark.slow
@pytest.mark.parametrize("library", ["lightning", "skorch", "keras"])
def test_another_library_and_exp_agree(library: str, tmp_path: Path):
    if importlib.util.find_spec(library) is None:  # importing Keras would need TensorFlow
        pytest.skip(f"{library} is not installed: it is in the extra `bench`")
    reader = Reader(tmp_path)
    for block in blocks(PAGE):
        if block.language == "python":
            reader.do(block)
    theirs = commands(f"with_{library}.py")
    printed = reader.do(theirs)
    assert differences("...\n" + theirs.printed[0], printed) is None
    word, distance = SIDES[library]
    compare(printed, reader.do(commands(word)), distance)
