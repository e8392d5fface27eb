"""Garbage collection pauses while a process of exp imports modules, and only there."""

import gc
import sys
from types import ModuleType

import pytest

from exp.training.import_gc import end_gc_pause, gc_pause, late_imports


@pytest.fixture(autouse=True)
def collection():
    frozen = gc.get_freeze_count()
    yield
    if not frozen:
        gc.unfreeze()
    assert gc.isenabled()


def test_late_imports_leave_a_callers_process_alone():
    frozen = gc.get_freeze_count()
    with late_imports():
        assert gc.isenabled()
    end_gc_pause()
    assert gc.get_freeze_count() == frozen


def test_late_imports_pause_a_process_of_exp(monkeypatch: pytest.MonkeyPatch):
    with gc_pause():
        end_gc_pause()
        frozen = gc.get_freeze_count()
        with late_imports():
            assert not gc.isenabled()
            monkeypatch.setitem(sys.modules, "imported_late", ModuleType("imported_late"))
            kept = [[number] for number in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= frozen + len(kept)


def test_without_a_new_module_no_object_is_exempted():
    with gc_pause():
        end_gc_pause()
        frozen = gc.get_freeze_count()
        with late_imports():
            kept = [[number] for number in range(1000)]
        assert gc.get_freeze_count() < frozen + len(kept)


def test_the_end_of_the_pause_exempts_objects_once():
    with gc_pause():
        end_gc_pause()
        frozen = gc.get_freeze_count()
        kept = [[number] for number in range(1000)]
        end_gc_pause()
        assert gc.get_freeze_count() < frozen + len(kept)
