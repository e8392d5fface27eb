"""The model card: Markdown with a YAML header, which says what the files of a run tell and marks the rest."""

from pathlib import Path

import forking
import pytest
import yaml

from exp.export import export

SECTIONS = {
    *("Model Details", "Uses", "Direct Use", "Out-of-Scope Use", "Bias, Risks, and Limitations"),
    *("How to Get Started with the Model", "Training Details", "Training Data", "Training Procedure", "Evaluation"),
    *("Results", "Environmental Impact", "Technical Specifications", "Model Card Contact"),
}


def card_of(folder: Path, *words: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict, str]:
    done = forking.run("exp", [*words, "figures=false", "threads=1", "epochs=2", "hydra.run.dir=run"], folder)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(folder)
    export("run", "card", "card.md")
    text = Path("card.md").read_text(encoding="utf-8")
    _, header, body = text.split("---\n", 2)
    return yaml.safe_load(header), body


def test_a_card_says_what_the_rows_of_a_table_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cells = [(n * n % 97, "a|b" if n % 3 else "c", "" if n % 4 else n / 4, n % 28 + 1, n % 2) for n in range(100)]
    rows = [f'{size},{word},"a, {word}",{part},{day}/12/2020,"{y}, {y}"' for size, word, part, day, y in cells]
    (tmp_path / "t.csv").write_text("size,word,two,part,day,y\n" + "\n".join(rows) + "\n")
    words = "dataset=table dataset.path=t.csv dataset.target=y dataset.day_first=true model=mlp name=mine"
    header, body = card_of(tmp_path, *words.split(), monkeypatch=monkeypatch)
    assert header["pipeline_tag"] == "tabular-classification"
    (index,) = header["model-index"]
    assert index["name"] == "mine"
    (result,) = index["results"]
    assert result["task"] == {"type": "tabular-classification"}
    assert result["dataset"] == {"type": "t.csv", "name": "t.csv", "split": "test"}
    assert {one["type"] for one in result["metrics"]} == {"loss", "accuracy"}
    headings = {line.lstrip("# ") for line in body.splitlines() if line.startswith("##")}
    assert SECTIONS - headings == set()
    table = [line for line in body.splitlines() if line.startswith(("| size", "| word", "| part", "| day"))]
    assert [line.split(" | ")[1] for line in table] == ["number", "category", "number", "date"]
    assert "2 levels: a\\|b, c" in table[1]
    assert '2 levels: "a, a\\|b", "a, c" |' in body  # words with commas are in quotes
    assert '- **Target:** `y`: "0, 0", "1, 1"\n' in body
    assert table[3].startswith("| day | date | 2020-12-0")
    assert "written as day/month/year, such as 31/12/2024" in table[3]
    part = float(table[2].split(" | ")[3].split(" %")[0])
    assert part == pytest.approx(75, abs=10)  # of 100 rows 75 have a gap
    assert body.count("To be filled in by the author") >= 6
    assert "| always " in body
    assert "None" not in body.replace("model", "")


@pytest.mark.parametrize("words", ["dataset=diabetes model=mlp", "dataset=digits model=linear dataset.split=[.8,0,.2]"])
def test_a_card_of_a_built_in_dataset(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    header, body = card_of(tmp_path, *words.split(), monkeypatch=monkeypatch)
    is_digits = "digits" in words
    assert header["pipeline_tag"] == ("tabular-classification" if is_digits else "tabular-regression")
    assert ("and 4 more columns." in body) == is_digits
    assert ("expected calibration error" in body) == is_digits
