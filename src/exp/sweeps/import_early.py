"""Import what the end of a sweep needs while its process waits for the first jobs."""

from collections.abc import Sequence

from exp.config.compose import typed_words
from exp.config.overrides import override_key
from exp.results import t_tests
from exp.results.repeats import REPEATED
from exp.training.import_gc import late_imports


def import_for_summary(overrides: Sequence[str]) -> None:
    """Import what the table and the page of the sweep with these overrides need: 0.3 s, while workers import torch."""
    with late_imports():
        from exp.reports import render, sweep_report, sweep_summary  # pyright: ignore[reportUnusedImport]  # noqa: F401

        render.environment()
        if REPEATED.keys() & set(map(override_key, typed_words(overrides))):
            t_tests.prepare()
