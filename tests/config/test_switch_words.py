"""Words that other languages have for true and false are answered with them."""

import pytest

from exp.config.constraints import suggest_override


@pytest.mark.parametrize(
    ("key", "word", "expected"),
    [
        ("figures", "no", "figures=false"),
        ("figures", "Off", "figures=false"),
        ("figures", "yes", "figures=true"),
        ("figures", "aut", "figures=auto"),
        ("batching.shuffle", "no", "batching.shuffle=false"),
        ("optimizer.fused", "on", "optimizer.fused=true"),
        ("loss.output", "no", "loss.output=value"),
    ],
)
def test_a_word_for_true_or_false(key: str, word: str, expected: str):
    assert suggest_override(key, word) == expected
