import pytest

from exp.errors import nearest


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("optimiser.lr", "optimizer.lr"),
        ("lr", "optimizer.lr"),
        ("optimizer.learning_rate", "optimizer.lr"),
        ("optimizer.lrate", "optimizer.lr"),
        ("batch_size", "batching.batch_size"),
        ("batching.size", "batching.batch_size"),
        ("epoch", "epochs"),
        ("model.hiden", "model.hidden"),
        ("zebra", None),
        ("model.zebra", None),
    ],
)
def test_nearest_returns_the_most_similar_name(word: str, expected: str | None):
    known = [
        "optimizer.lr",
        "optimizer.momentum",
        "batching.batch_size",
        "epochs",
        "seed",
        "model.hidden",
        "model.bias",
    ]
    assert nearest(word, known) == expected
