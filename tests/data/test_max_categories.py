"""dataset.max_categories: which categories of a column have a feature of their own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import config_of

from exp import train
from exp.data.columns.category import CategoryColumn
from exp.training.build import build


def fit(rows_of_each: list[int], limit: int | str | None) -> tuple[int, int]:
    """Return how many categories have a feature of their own, and how many share one."""
    words = pd.Series([f"w{number:04}" for number, rows in enumerate(rows_of_each) for _ in range(rows)])
    options = {"missing": "auto", "max_categories": limit, "decimal": ".", "day_first": None}
    parsed = CategoryColumn.parse("word", words, options)
    assert parsed is not None
    assert isinstance(parsed.column, CategoryColumn)
    fitted, _ = parsed.column.fit(parsed.values, slice(None))
    assert fitted is not None
    return len(fitted.categories), fitted.rare


@pytest.mark.parametrize(
    ("rows_of_each", "limit", "found"),
    [
        ([7] * 142, "auto", (142, 0)),  # countries by year: none of them is rare
        ([7] * 142, 50, (50, 92)),
        ([9] * 60 + [3] * 40 + [2] * 30 + [1] * 70, "auto", (100, 100)),
        ([9] * 10 + [2] * 20 + [1] * 70, "auto", (50, 50)),  # the 50 most frequent ones, however rare
        ([3] * 700, "auto", (500, 200)),
        ([3] * 700, None, (700, 0)),
        ([1] * 20, "auto", (20, 0)),
    ],
)
def test_categories_with_enough_rows_have_a_feature(
    rows_of_each: list[int], limit: int | str | None, found: tuple[int, int]
):
    assert fit(rows_of_each, limit) == found


@pytest.fixture
def countries(tmp_path: Path) -> str:
    """A table of 120 countries in 12 years, whose levels differ."""
    level = np.random.default_rng(0).normal(size=120)
    lines = [f"{1950 + 5 * year},country {n},{level[n] + year / 10:.4f}" for n in range(120) for year in range(12)]
    path = tmp_path / "countries.csv"
    path.write_text("\n".join(["year,country,level", *lines]))
    return f"dataset.path={path}"


def test_a_table_of_countries_by_year_tells_them_apart_at_the_first_line(countries: str, tmp_path: Path):
    line = ["dataset=table", countries, "dataset.target=level", f"hydra.run.dir={tmp_path}/run", "figures=false"]
    assert train(*line, threads=1, epochs=10).final["test"]["r2"] > 0.9
    assert len(build(config_of(*line[:3])).data.features) == 121
    assert len(build(config_of(*line[:3], "dataset.max_categories=50")).data.features) == 52
