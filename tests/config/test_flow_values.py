"""Names of any kind are read in lists and mappings as they are typed, and no correction changes what was asked for."""

import shlex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exp.cli.command_line import CommandLine
from exp.cli.diagnosis import check_line, diagnose
from exp.cli.parse_errors import explain_parse_error
from exp.config.constraints import CONSTRAINTS, violation
from exp.config.flow_values import readable
from exp.config.overrides import reads_as

TABLE = ["dataset=table", "dataset.path=t.csv", "dataset.target=y"]
_NAMES = st.text(st.sampled_from([*"ab7 :,;'\"()[]{}-./\\=é", "ß", "😀"]), min_size=1, max_size=9).filter(str.strip)
_MAPPINGS = {"dataset.kinds": "category", "dataset.missing": "drop", "loss.class_weights": 2}


def value_of(word: str) -> object:
    return reads_as(readable(word).partition("=")[2])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("{Blood pressure [mmHg]: category}", {"Blood pressure [mmHg]": "category"}),
        ("{Age (yrs): drop, it's: é}", {"Age (yrs)": "drop", "it's": "é"}),
        ('{"CRP, mg/l": category}', {"CRP, mg/l": "category"}),
        ("{CRP\\, mg/l: category, é: 2}", {"CRP, mg/l": "category", "é": 2}),
        ("{7é: 1, 7: [é, null], a:b ß: .5}", {"7é": 1, 7: ["é", None], "a:b ß": 0.5}),
        ("[größe 😀, Age (yrs), 'a, b']", ["größe 😀", "Age (yrs)", "a, b"]),
        ("[f1:é]", ["f1:é"]),
    ],
)
def test_a_name_is_read_as_it_is_typed(typed: str, meant: object):
    assert value_of(f"key={typed}") == meant


def test_values_of_a_sweep_and_functions_stay():
    assert readable("metrics=[f1:é],[auc]") == 'metrics=["f1:é"],[auc]'
    for word in (
        "model.hidden=[8],[8,8]",
        "k=[choice(a,b)é]",
        "k=[a,b",
        "k={a]: 1}",
        "k={CRP, mg/l: 1}",
        "k={a: ${é}}",
    ):
        assert readable(word) == word


@given(name=_NAMES, key=st.sampled_from(sorted(_MAPPINGS)))
@example("Age (yrs)", "dataset.kinds")
@example("é", "loss.class_weights")
def test_a_name_in_quotes_is_read_in_every_list_and_mapping(name: str, key: str):
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    value = _MAPPINGS[key]
    escapes = "\\" in name  # which Hydra itself reads in another way, in a list that it can read
    assert escapes or value_of(f"{key}={{{quoted}: {value}}}") == {name: value}
    assert escapes or value_of(f"dataset.drop=[{quoted}]") == [name]


@settings(max_examples=30)
@given(
    name=_NAMES,
    form=st.sampled_from(["[{}]", "{{{}: V}}", "{}", '"[{}]"', '"{{{}: V}}"', "[{}", "{{{}: V"]),
    key=st.sampled_from([*_MAPPINGS, "dataset.drop", "dataset.group"]),
)
@example("é", '"{{{}: V}}"', "loss.class_weights")
@example("Age (yrs)", "{}", "dataset.kinds")
@example("größe 😀", "{}", "dataset.drop")
@example("[", "[{}]", "dataset.kinds")
@example("7", "[{}]", "dataset.missing")
def test_a_correction_is_accepted_and_keeps_the_name(name: str, form: str, key: str):
    typed = readable(f"{key}={form.format(name).replace('V', str(_MAPPINGS.get(key, 'V')))}")
    value = reads_as(typed.partition("=")[2])
    limit = CONSTRAINTS[key][0]
    if value is not None and limit.accepts(value):
        return
    error = explain_parse_error(typed, CommandLine()) if value is None else violation(key, value)
    if isinstance(error.override, str):
        corrected = reads_as(error.override.partition("=")[2])
        assert limit.accepts(corrected), (typed, error.override)
        assert shlex.split(error.fix) == [error.override]
        if form != "{}":
            assert {one for one in name if one.isalnum()} <= {*str(corrected)}, (typed, error.override)


@pytest.mark.parametrize(
    ("word", "count", "corrected"),
    [
        ('loss.class_weights="{é: 2}"', 1, {"é": 2}),
        ("dataset.kinds=Age (yrs)", 1, {"Age (yrs)": "category"}),
        ("dataset.missing={age: dorp, é: auto}", 1, {"age": "drop", "é": "auto"}),
        ("dataset.kinds={ward: nmber}", 1, {"ward": "number"}),
        ("dataset.kinds={CRP, mg/l: category}", 1, None),
    ],
)
def test_an_error_is_counted_once(word: str, count: int, corrected: object):
    line = CommandLine.parse([*TABLE, word])
    with pytest.raises(Exception) as error:  # noqa: PT011
        check_line(line)
    told = diagnose(error.value, line)
    assert len(told.problems) == count
    assert (told.corrected is None) == (corrected is None)
    if told.corrected is not None:
        check_line(CommandLine.parse(told.corrected.words))
        assert reads_as(told.corrected.overrides[-1].partition("=")[2]) == corrected
