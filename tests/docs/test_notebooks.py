"""docs/notebooks: each runs from top to bottom, its asserts hold, and its output is the one in git."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = {path.stem: path for path in sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))}
# Output that depends on the machine or the time.
VARIES = re.compile(
    r"^(machine|versions|folder|look|report|more columns:) .*$|(?<=included, in )\S+(?= s$)|(?<='cpu': )'.*?'",
    re.MULTILINE,
)
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[+-]?\d+)?")


def output_text(cell: nbformat.NotebookNode) -> str:
    """All words and numbers of the cell's outputs."""
    texts = [output.text if "text" in output else output.data["text/plain"] for output in cell.outputs]
    return VARIES.sub("", "".join(texts))


def words(text: str) -> list[str]:
    return NUMBER.sub(" # ", text).split()


def numbers(text: str) -> list[str]:
    return [found.replace(",", "") for found in NUMBER.findall(text)]


def is_same_as_printed(kept: str, fresh: str) -> bool:
    """Whether two printed numbers differ by at most 1 %, as on another CPU, or one in the last printed digit."""
    mantissa, _, exponent = kept.lower().partition("e")
    last_digit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    tolerance = 1.001 * last_digit if "." in mantissa else 0.0
    return float(fresh) == pytest.approx(float(kept), rel=1e-2, abs=max(tolerance, 1e-6))


def kinds(cell: nbformat.NotebookNode) -> list[set[str]]:
    """The formats of each output, except those on stdout."""
    return [set(output.data) for output in cell.outputs if "data" in output]


def test_the_notebooks_are_the_five_experiments():
    assert set(NOTEBOOKS) == {"xor_softmax", "cancer_raw", "noisy_xor", "regression", "batching_modes"}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_small_and_was_executed_once_from_top_to_bottom(name: str):
    assert NOTEBOOKS[name].stat().st_size < 300_000
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    nbformat.validate(notebook)
    assert 8 <= len(notebook.cells) <= 20
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert [cell.source for cell in code if set(cell.metadata) - {"tags"}] == []  # such as execution times


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_what_a_notebook_imports_exists(name: str):
    """The numbers of the notebooks are tested by tests/golden, and exp in a kernel by tests/test_in_a_kernel.py."""
    cells = nbformat.read(NOTEBOOKS[name], as_version=4).cells
    lines = "\n".join(cell.source for cell in cells if cell.cell_type == "code").splitlines()
    imports = [line for line in lines if re.match(r"(from|import) ", line)]
    assert any("exp" in line for line in imports)
    exec("\n".join(imports), {})


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_gives_the_output_that_is_in_git(name: str, tmp_path: Path):
    from nbclient import NotebookClient  # half a second, which only this slow test needs

    kept = nbformat.read(NOTEBOOKS[name], as_version=4)
    fresh = nbformat.read(NOTEBOOKS[name], as_version=4)
    NotebookClient(fresh, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "outputs").is_dir()
    for before, now in zip(kept.cells, fresh.cells, strict=True):
        if now.cell_type != "code":
            continue
        assert [output.text for output in now.outputs if output.get("name") == "stderr"] == []
        assert str(tmp_path) not in output_text(now)
        assert words(output_text(now)) == words(output_text(before)), now.source
        assert kinds(now) == kinds(before), now.source
        if "varies" not in now.metadata.get("tags", []):
            pairs = zip(numbers(output_text(before)), numbers(output_text(now)), strict=True)
            assert [pair for pair in pairs if not is_same_as_printed(*pair)] == [], now.source
