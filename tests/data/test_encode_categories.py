"""dataset.encode: the categories of a column as one feature each, or as one number for an embedding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import config_of

from exp import train
from exp.errors import ConfigError
from exp.models.feature_embedding import FeatureEmbedding
from exp.results.trained_model import load_trained
from exp.training.build import build


@pytest.fixture
def table(tmp_path: Path) -> str:
    draw = np.random.default_rng(0)
    rows = [f"town {draw.integers(40)},{draw.choice(['red', 'blue'])},{draw.normal():.3f}" for _ in range(300)]
    rows += [f",red,{draw.normal():.3f}" for _ in range(10)]
    lines = [f"{row},{'yes' if hash_of(row) else 'no'}" for row in rows]
    path = tmp_path / "towns.csv"
    path.write_text("\n".join(["town,colour,size,y", *lines]))
    return f"dataset.path={path}"


def hash_of(row: str) -> int:
    return sum(map(ord, row.partition(",")[0])) % 2


LINE = ["dataset=table", "dataset.target=y", "threads=1", "epochs=2"]


def test_many_categories_are_one_number_and_few_are_features(table: str):
    data = build(config_of(*LINE, table, "dataset.encode=auto")).data
    assert data.features == ("town", "colour=blue", "colour=red", "size")
    assert data.preprocessing.cardinalities == (len(data.preprocessing.columns[0].categories) + 2, 1, 1, 0)
    town = data.train.x[:, 0]
    assert torch.equal(town, town.round())
    assert town.min() >= 0
    assert town.max() < data.preprocessing.cardinalities[0]


def test_all_are_numbers_with_embedding_and_none_with_onehot(table: str):
    assert build(config_of(*LINE, table, "dataset.encode=embedding")).data.features == ("town", "colour", "size")
    assert len(build(config_of(*LINE, table, "dataset.encode=onehot")).data.features) > 40


def test_max_categories_does_not_limit_the_embedded_ones(table: str):
    line = [*LINE, table, "dataset.max_categories=3"]
    assert build(config_of(*line, "dataset.encode=auto")).data.preprocessing.cardinalities[0] > 30
    assert len(build(config_of(*line)).data.features) < 12


def test_a_model_without_an_embedding_gets_features_or_is_refused(table: str):
    assert len(build(config_of(*LINE, table, "model=linear", "dataset.encode=auto")).data.features) > 40
    with pytest.raises(ConfigError, match="has no embedding of categories") as caught:
        build(config_of(*LINE, table, "model=linear", "dataset.encode=embedding"))
    assert caught.value.override == "dataset.encode=onehot"


def test_a_new_category_is_predicted_as_zeros_and_an_empty_cell_as_in_training(table: str, tmp_path: Path):
    train(*LINE, table, "model=tabular_mlp", "dataset.encode=auto", "figures=false", f"hydra.run.dir={tmp_path}/run")
    trained = load_trained(tmp_path / "run")
    new = tmp_path / "new.csv"
    new.write_text("town,colour,size\nnowhere,red,0.1\n,red,0.1\ntown 3,red,0.1\n")
    outputs = trained.outputs_of_table(trained.read(str(new)).frame, str(new)).outputs
    embedding, *rest = trained.model
    assert isinstance(embedding, FeatureEmbedding)
    (weights,) = (one.weight for one in embedding.tables)
    categories = trained.preprocessing.columns[0].categories
    rows = [torch.zeros(8), weights[len(categories)], weights[categories.index("town 3")]]
    size = float(trained.preprocessing.scaler.transform(np.array([[0.1]]))[0, 0])
    for output, embedded in zip(outputs, rows, strict=True):
        hidden = torch.cat([torch.tensor([size, 0.0, 1.0]), embedded]).unsqueeze(0)
        for layer in rest:
            hidden = layer(hidden)
        torch.testing.assert_close(output, hidden[0])


def test_a_column_of_thousands_of_words_is_one_feature(tmp_path: Path):
    path = tmp_path / "words.csv"
    path.write_text("word,x,y\n" + "".join(f"w{number % 2500},{number % 7},{number % 2}\n" for number in range(5000)))
    line = [
        "dataset=table",
        f"dataset.path={path}",
        "dataset.target=y",
        "dataset.encode=auto",
        "dataset.kinds={word: category}",
    ]
    assert build(config_of(*line)).data.train.x.shape[1] == 2
