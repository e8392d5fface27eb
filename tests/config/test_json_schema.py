"""The JSON Schemas accept what exp accepts. The validator of the package jsonschema is the second source."""

from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from referencing import Registry
from referencing.jsonschema import DRAFT7

from exp.config.column_names import ColumnKinds, ColumnNames
from exp.config.constraints import CONSTRAINTS
from exp.config.json_schema import schemas
from exp.config.schema import CONF

FILES = [path for path in sorted(CONF.rglob("*.yaml")) if "hydra" not in path.parts]

words = st.sampled_from(
    ["auto", "relu", "<=256", "<=0", "f1", "f1:yes", "loss/val", "2 epochs", "100", "cuda:0", "no", ""]
)
one = st.none() | st.booleans() | st.integers(-2, 2**63) | st.floats(-2, 1100).filter(lambda x: x % 1) | words
values = one | st.lists(one, max_size=4) | st.dictionaries(words, one, max_size=2)


@cache
def validator(name: str) -> jsonschema.Draft7Validator:
    made = schemas()
    resources = [(f"{name}.json", DRAFT7.create_resource(content)) for name, content in made.items()]
    return jsonschema.Draft7Validator({"$ref": f"{name}.json"}, registry=Registry().with_resources(resources))


def problems(name: str, content: Any) -> list[str]:
    return [error.json_path for error in validator(name).iter_errors(content)]


@settings(max_examples=50)
@given(values)
def test_a_schema_accepts_what_the_limit_accepts(value: Any):
    for key, (limit, _) in CONSTRAINTS.items():
        is_valid = jsonschema.Draft7Validator(limit.json_schema()).is_valid(value)
        if isinstance(limit, ColumnNames | ColumnKinds):  # what is in a list is checked with the data
            assert limit.accepts(value) or not is_valid, (key, value)
        else:
            assert is_valid == limit.accepts(value), (key, value)


def test_every_shipped_file_is_valid_and_every_schema_is_one():
    for content in schemas().values():
        jsonschema.Draft7Validator.check_schema(content)
    for path in FILES:
        name = "config" if path.parent.name in ("conf", "experiment") else path.parent.name
        assert problems(name, yaml.safe_load(path.read_text())) == [], path


@pytest.mark.parametrize(
    ("name", "text", "path"),
    [
        ("optimizer", "{_target_: torch.optim.Adam, lrr: 0.1}", "$"),
        ("optimizer", "{_target_: torch.optim.Adam, momentum: 0.1}", "$"),  # an argument of SGD
        ("optimizer", "{_target_: torch.optim.Adam, lr: {classes: 0.1, numbers: 0}}", "$.lr"),
        ("model", "{_target_: exp.models.mlp.MLP, in_features: 3}", "$"),  # exp passes it
        ("model", "{defaults: [mlp], hiden: 3}", "$"),
        ("batching", "{batch_size: 0}", "$.batch_size"),
        ("dataset", "{dataset: {split: [1]}}", "$.dataset.split"),
        ("config", "{log_every: 0}", "$.log_every"),
        ("config", "{seed: seven}", "$.seed"),
        ("config", "{early_stopping: {patiense: 3}}", "$.early_stopping"),
        ("config", "{model: {_target_: exp.models.mlp.MLP, norm: batches}}", "$.model.norm"),
        ("config", "{watch: 3}", "$.watch"),
        ("config", "{name: [a]}", "$.name"),
    ],
)
def test_a_wrong_key_or_value_is_refused_where_it_stands(name: str, text: str, path: str):
    assert problems(name, yaml.safe_load(text)) == [path]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model", "{_target_: mine.Net, anything: 3}"),
        ("optimizer", "{_target_: torch.optim.Adam, lr: '${my.rate}', betas: '???'}"),
        ("optimizer", "{lr: {classes: 0.1, numbers: 0.2}}"),
        ("config", "{log_every: 100, defaults: [schema, {model: mine}, {override /loss: auto}, _self_]}"),
        ("config", "{optimizer: {lr: 0.1}, hydra: {job: {chdir: true}}, name: trial 3}"),
    ],
)
def test_what_exp_accepts_is_accepted(name: str, text: str):
    assert problems(name, yaml.safe_load(text)) == []
