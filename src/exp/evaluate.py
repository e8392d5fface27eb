"""How good a trained model is: `python -m exp.evaluate run=FOLDER split=test`, or `data=new.csv`.

On the rows that the run kept as train, val or test: test, if nothing is said; or on those of a table with the columns
and the target that the run learned. `checkpoint=best` takes the parameters of the lowest validation loss instead of the
last.
"""

from exp.cli.key_value import run_command
from exp.data.encode import encode_rows, encode_targets
from exp.errors import ConfigError, DataError
from exp.results.trained_model import load_trained

_KNOWN = {"run": True, "split": False, "data": False, "checkpoint": False}


def evaluate(run: str, split: str | None = None, data: str | None = None, checkpoint: str = "last") -> None:
    """Print each metric, exactly."""
    if split is not None and data is not None:
        raise ConfigError(f"split={split} data={data}: rows of the run, or those of a table", f"data={data}")
    trained = load_trained(run, checkpoint)
    if data is None:
        what, metrics = split or "test", trained.evaluate(split or "test")
    else:
        frame = trained.read(data)
        rows, whole, notes = encode_rows(frame, trained.preprocessing, data)
        y, there, more = encode_targets(frame, trained.preprocessing, data)
        for note in (*notes, *more):
            print(note)
        kept = whole & there
        if not kept.any():
            raise DataError(f"data={data}: no row is whole", "rows with a number in each column, and a target")
        what, metrics = data, trained.evaluate_rows(rows[kept], y[kept])
    print(f"{what}, {metrics.count:,} rows, checkpoint {checkpoint}")
    for name, value in metrics.values().items():
        print(f"{name} {value!r}")


if __name__ == "__main__":
    run_command("evaluate", __doc__, _KNOWN, "python -m exp.evaluate run=FOLDER split=test", evaluate)
