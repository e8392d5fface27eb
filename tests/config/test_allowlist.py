import pytest

from exp.config.allowlist import refuse_arguments
from exp.errors import ConfigError


def test_an_argument_of_a_class_without_arguments_is_removed():
    with pytest.raises(ConfigError, match=r"mine\.Net has no argument 'foo'") as caught:
        refuse_arguments("model", {"_target_": "mine.Net", "foo": 1}, [])
    assert (caught.value.fix, caught.value.override) == ("~model.foo, which leaves it out", "")
