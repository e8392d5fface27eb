"""`exp evaluate`: the metrics of a trained model."""

import sys

from exp.cli.commands import run_command
from exp.errors import ConfigError, DataError


def evaluate(
    run: str, split: str | None = None, data: str | None = None, checkpoint: str = "auto", **moved: str
) -> None:
    """Print each metric of a trained model, with every digit.

        python -m exp evaluate run=FOLDER

    Args:
        run: Folder of the run.
        split: Rows of the run to evaluate on: train, val or test. The default is test, or val if there is no test.
        data: Table to evaluate on instead, with the run's feature columns and its target.
        checkpoint: last, best (of the validation metric, metric=), or auto: that of the run's final metrics.
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.data.encode import encode_rows, encode_targets
    from exp.data.weight_column import encode_weights
    from exp.results.trained_model import load_trained

    if split is not None and data is not None:
        raise ConfigError(f"split={split} data={data}: only one of split= and data=", f"data={data}")
    trained = load_trained(run, checkpoint, moved)
    if data is None:
        what = split or trained.experiment.data.held_out
        metrics = trained.evaluate(what)
    else:
        table = trained.read(data)
        rows, is_complete, notes = encode_rows(table.frame, trained.preprocessing, data)
        y, has_target, more = encode_targets(table.frame, trained.preprocessing, data)
        weights = None
        if trained.weight is not None:
            notation = trained.preprocessing.weight_notation
            weights, more_of_weights = encode_weights(table.frame, trained.weight, notation, data)
            more += more_of_weights
        for note in (*table.notes, *notes, *more):
            print(note)
        kept = is_complete & has_target
        if not kept.any():
            raise DataError(
                f"data={data}: every row has a missing value", "rows with a value in each column, and a target"
            )
        if weights is not None and not weights[kept].any():
            raise DataError(f"data={data}: the weight '{trained.weight}' is 0 in every row", "rows with weights > 0")
        of_row = None if weights is None else weights[kept]
        what, metrics = data, trained.evaluate_rows(rows[kept], y[kept], of_row)
    calibrated = ", calibrated" if trained.calibration is not None else ""
    print(f"{what}, {metrics.count:,} rows, checkpoint {trained.checkpoint}{calibrated}")
    for name, value in metrics.values().items():
        print(f"{name} {value!r}")


if __name__ == "__main__":
    run_command(evaluate, sys.argv[1:])
