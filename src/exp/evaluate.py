"""How good a trained model is: `python -m exp.evaluate run=FOLDER split=test`.

On the rows that the run kept as train, val or test: test, if nothing is said. `checkpoint=best` takes the parameters
of the lowest validation loss instead of the last.
"""

from exp.trained import load
from exp.words import command

_KNOWN = {"run": True, "split": False, "checkpoint": False}


def evaluate(run: str, split: str = "test", checkpoint: str = "last") -> None:
    """Print each measure, exactly."""
    measures = load(run, checkpoint).evaluated(split)
    print(f"{split}, {measures.count:,} rows, checkpoint {checkpoint}")
    for name, value in measures.values().items():
        print(f"{name} {value!r}")


if __name__ == "__main__":
    command("evaluate", __doc__, _KNOWN, "python -m exp.evaluate run=FOLDER split=test", evaluate)
