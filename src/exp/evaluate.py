"""How good a trained model is: `python -m exp.evaluate run=FOLDER split=test`, or `data=new.csv`.

On the rows that the run kept as train, val or test: test, if nothing is said; or on those of a table with the columns
and the target that the run learned. `checkpoint=best` takes the parameters of the lowest validation loss instead of the
last.
"""

from exp.cli.key_value import command
from exp.data.encode import rows_of, targets_of
from exp.errors import ConfigError, DataError
from exp.results.trained_model import load

_KNOWN = {"run": True, "split": False, "data": False, "checkpoint": False}


def evaluate(run: str, split: str | None = None, data: str | None = None, checkpoint: str = "last") -> None:
    """Print each measure, exactly."""
    if split is not None and data is not None:
        raise ConfigError(f"split={split} data={data}: rows of the run, or those of a table", f"data={data}")
    trained = load(run, checkpoint)
    if data is None:
        what, measures = split or "test", trained.evaluated(split or "test")
    else:
        frame = trained.read(data)
        rows, whole, notes = rows_of(frame, trained.preprocessing, data)
        y, there, more = targets_of(frame, trained.preprocessing, data)
        for note in (*notes, *more):
            print(note)
        kept = whole & there
        if not kept.any():
            raise DataError(f"data={data}: no row is whole", "rows with a number in each column, and a target")
        what, measures = data, trained.evaluated_on(rows[kept], y[kept])
    print(f"{what}, {measures.count:,} rows, checkpoint {checkpoint}")
    for name, value in measures.values().items():
        print(f"{name} {value!r}")


if __name__ == "__main__":
    command("evaluate", __doc__, _KNOWN, "python -m exp.evaluate run=FOLDER split=test", evaluate)
