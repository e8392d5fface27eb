"""Odd names survive the command line: the override that exp prints sets the value that was meant."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from exp.config.overrides import as_text, option_names, quote_names, quote_text, reads_as, shell_line, text_override

_NAMES = st.text(st.sampled_from([*"ab1 ;{}'\"(),$\\=[]:.#\t-~*@!&|<>?", "ü"]), max_size=8)


@given(_NAMES)
@example("null")
@example("2020")
@example("1e3")
@example("${seed}")
@example("\\${seed}")
@example("choice(a,b)")
@example("C:\\")
def test_a_quoted_text_is_read_as_that_text(text: str):
    assert reads_as(quote_text(text)) == text


@given(_NAMES)
def test_a_shell_passes_the_override_on(text: str):
    *_, word = shlex.split(shell_line(["dataset=table", text_override("dataset.path", text)]))
    assert word == text_override("dataset.path", text)
    assert OverridesParser.create().parse_override(word).key_or_group == "dataset.path"


@given(st.lists(_NAMES, max_size=3))
def test_a_list_of_names_is_read_as_these_names(names: list[str]):
    assert reads_as(quote_names(names)) == names


def test_ordinary_text_has_no_quotes():
    assert [quote_text(text) for text in ("a", "my_runs/2026-11-27", "../a.csv", "größe")] == [
        "a",
        "my_runs/2026-11-27",
        "../a.csv",
        '"größe"',
    ]
    assert text_override("dataset.path", "my file.csv") == "dataset.path=my file.csv"


def test_a_group_is_called_after_its_typed_target():
    choices = {"dataset": "cancer", "model": "mlp", "loss": "auto"}
    typed = ["dataset._target_=mine.Rows", "++model._target_='mine.net.Net'", "seed=1", "hydra.x._target_=a.B"]
    assert option_names(choices, typed) == {"dataset": "Rows", "model": "Net", "loss": "auto"}
    assert option_names(choices, ["model.hidden=[5]"]) == choices


@pytest.mark.parametrize("text", ["baseline, lr from Smith", "a,b", "choice(a,b)", "it's (not) final; x=1", "50 %"])
def test_words_of_keys_that_are_text_are_one_value(text: str):
    assert reads_as(as_text(f"notes={text}").partition("=")[2]) == text
    assert reads_as(as_text(f"name={text}").partition("=")[2]) == text
    assert as_text(f"optimizer.lr={text}") == f"optimizer.lr={text}"


@pytest.mark.parametrize("mark", [",", ";", "."])
def test_a_bare_mark_is_one_value(mark: str):
    assert reads_as(as_text(f"dataset.decimal={mark}").partition("=")[2]) == mark
    assert reads_as(as_text(f"dataset.separator={mark}").partition("=")[2]) == mark


@pytest.mark.parametrize("word", ['notes="a, b"', "name=null", "notes=", "notes=plain", "dataset.separator=.,x"])
def test_what_hydra_reads_stays_as_it_is(word: str):
    assert as_text(word) == word
