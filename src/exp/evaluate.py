"""`exp evaluate`: the metrics of a trained model."""

import sys

from exp.cli.commands import run_command
from exp.errors import ConfigError, DataError
from exp.results.best_job import choose_jobs


def evaluate(
    run: str,
    split: str | None = None,
    data: str | None = None,
    checkpoint: str = "auto",
    ensemble: bool = False,
    **moved: str,
) -> None:
    """Print each metric of a trained model, with every digit.

        python -m exp evaluate run=FOLDER

    Args:
        run: Folder of the run; of a sweep, its best job is used.
        split: Rows of the run to evaluate on: train, val or test. The default is test, or val if there is no test.
        data: Table to evaluate on instead, with the run's feature columns and its target.
        checkpoint: best or last; by default (auto) that of the final metrics: best with early stopping, otherwise last.
        ensemble: Whether to average the seeds or folds of a sweep's best choice: probabilities, or values.
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    if split is not None and data is not None:
        raise ConfigError(f"split={split} data={data}: only one of split= and data=", f"data={data}")
    jobs = choose_jobs(run, ensemble)
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    import torch

    from exp.data.encode import encode_targets
    from exp.data.weight_column import encode_weights
    from exp.results.trained_ensemble import load_models

    trained = load_models(jobs, checkpoint, moved)
    if data is None:
        what = split or trained.held_out
        metrics = trained.evaluate(what)
    else:
        lead, table = trained.lead, trained.read(data)
        outputs, is_complete, notes = trained.outputs_of_table(table.frame, data)
        y, has_target, more = encode_targets(table.frame, lead.preprocessing, data)
        weights = None
        if lead.weight is not None:
            notation = lead.preprocessing.weight_notation
            weights, more_of_weights = encode_weights(table.frame, lead.weight, notation, data)
            more += more_of_weights
        for note in (*table.notes, *notes, *more):
            print(note)
        kept = is_complete & has_target
        if not kept.any():
            raise DataError(
                f"data={data}: every row has a missing value", "rows with a value in each column, and a target"
            )
        if weights is not None and not weights[kept].any():
            raise DataError(f"data={data}: the weight '{lead.weight}' is 0 in every row", "rows with weights > 0")
        of_row = None if weights is None else weights[kept]
        with_target = torch.from_numpy(has_target[is_complete])
        what, metrics = data, lead.measure(outputs[with_target], y[kept], of_row)
    print(f"{what}, {metrics.count:,} rows, {trained.parameters}")
    for name, value in metrics.values().items():
        print(f"{name} {value!r}")


if __name__ == "__main__":
    run_command(evaluate, sys.argv[1:])
