"""Of the cases of a test, those that the default suite keeps."""

from itertools import product

import pytest
from conftest import one_in


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_each_value_of_each_parameter_is_kept(count: int):
    """A stride with a factor of the number of inner values kept the same of these for each outer one."""
    for lengths in ((2, 2), (2, 6), (6, 2), (4, 2, 2), (8, 3)):
        cases = list(product(*map(range, lengths)))
        kept = [case for case in one_in(count, cases) if type(case) is tuple]
        assert [len(set(values)) for values in zip(*kept, strict=True)] == list(lengths)
        assert len(kept) == max(-(-len(cases) // count), *lengths)


def test_cases_without_a_value_in_common_are_one_in_a_number():
    assert [case for case in one_in(3, range(7)) if isinstance(case, int)] == [0, 3, 6]
    assert [case for case in one_in(2, ["ab", "cd", "ef"]) if isinstance(case, str)] == ["ab", "ef"]
