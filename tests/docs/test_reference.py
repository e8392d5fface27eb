"""The reference of Python has every public name, their docstrings are complete, and their examples run."""

import doctest
import inspect
import re
from pathlib import Path

import pytest
from making.pages import PAGES

import exp
from exp import errors
from exp.base_estimator import BaseExpEstimator
from exp.results.trained_model import TrainedModel
from exp.training import events

ENTRY = re.compile(r"^::: ([\w.]+)\n(?:    options:\n      members: \[(.*)\]\n)?", re.MULTILINE)


def entries(page: str) -> dict[str, list[str]]:
    """The members that the page shows of each object."""
    text = (PAGES / "reference" / page).read_text("utf-8")
    return {match[1]: re.findall(r"\w+", match[2] or "") for match in ENTRY.finditer(text)}


def public_members(of: type) -> list[str]:
    return [name for name, value in vars(of).items() if not name.startswith("_") and is_documented(value)]


def is_documented(value: object) -> bool:
    return callable(value) or isinstance(value, property) or type(value).__name__ == "cached_property"


def test_the_reference_has_every_public_name():
    shown = entries("python.md")
    assert {f"exp.{name}" for name in exp.__all__} <= set(shown)
    classes = [getattr(exp, name) for name in exp.__all__ if name[0].isupper()]
    for one in (*classes, BaseExpEstimator):
        name = f"exp.{one.__name__}" if one in classes else f"{one.__module__}.{one.__name__}"
        assert sorted(shown[name]) == sorted(public_members(one)), name
    assert set(shown[f"{TrainedModel.__module__}.TrainedModel"]) <= set(public_members(TrainedModel))
    for name, members in shown.items():
        one = TrainedModel if name.endswith(".TrainedModel") else getattr(exp, name.removeprefix("exp."), None)
        assert [member for member in members if one and not inspect.getdoc(getattr(one, member))] == [], name
    raised = {name for name, one in vars(errors).items() if inspect.isclass(one) and issubclass(one, errors.ExpError)}
    assert {f"exp.errors.{name}" for name in raised} <= set(shown)


def test_the_reference_has_every_event():
    shown = set(entries("events.md"))
    every = {one.__name__ for one in events.Event.__args__} | {"Sink", "Ending"}
    assert {f"exp.training.events.{name}" for name in every} <= shown


def test_a_docstring_names_every_argument_and_attribute():
    functions = [exp.train, exp.sweep, exp.load, exp.Result.predict, exp.ExpClassifier.fit, exp.ExpRegressor.predict]
    for one in functions:
        text = inspect.getdoc(one) or ""
        names = set(inspect.signature(one).parameters) - {"self", "arguments"}
        assert [name for name in names if not re.search(rf"^    {name}: ", text, re.MULTILINE)] == [], one
        assert "Returns:" in text
        assert "Raises:" in text
    arguments = inspect.signature(BaseExpEstimator).parameters
    for one, names in [
        (BaseExpEstimator, arguments),
        *((one, one.__dataclass_fields__) for one in events.Event.__args__),
    ]:
        text = inspect.getdoc(one) or ""
        assert [name for name in names if not re.search(rf"^    {name}: ", text, re.MULTILINE)] == [], one


class WithoutProgress(doctest.OutputChecker):
    """Compares what a sweep prints without the lines that say how far it is."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        got = re.sub(r"^\d+ of \d+ done, .*\n", "", got, flags=re.MULTILINE)
        return super().check_output(want, got, optionflags)


@pytest.mark.slow
@pytest.mark.parametrize("name", exp.__all__)
def test_the_example_of_a_docstring_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (found,) = doctest.DocTestFinder(recurse=False).find(getattr(exp, name), name, globs={})
    assert found.examples
    printed: list[str] = []
    runner = doctest.DocTestRunner(WithoutProgress(), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(found, out=printed.append)
    assert runner.failures == 0, "".join(printed)
