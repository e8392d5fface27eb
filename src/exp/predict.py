"""`exp predict`: the predictions of a trained model for the rows of a table."""

import sys

from exp.cli.answer import TextAnswer
from exp.cli.commands import new_file, run_command
from exp.errors import pluralize
from exp.results import csv_file
from exp.results.atomic import replacement
from exp.results.best_job import choose_jobs


def predict(run: str, data: str, out: str, checkpoint: str = "auto", ensemble: bool = False) -> TextAnswer:
    """Write the predictions of a trained model for the rows of a table.

        python -m exp predict run=FOLDER data=new.csv out=predictions.csv

    The CSV file has one line per row, in order: the class and the probability of each class, or the value. The rows are
    preprocessed as the run's were. The table needs the run's feature columns; other columns, the target among them, are
    ignored.

    Args:
        run: Folder of the run; of a sweep, its best job is used.
        data: Table with the rows, .csv, .tsv, .parquet or .xlsx, or a folder of such files; arrays, .npz or .npy; or
            a folder of images.
        out: File to write, .csv.
        checkpoint: best, last or a .pt file of the run; by default (auto) that of the final metrics: best with early
            stopping, otherwise last.
        ensemble: Whether to average the seeds or folds of a sweep's best choice: probabilities, or values.
    """
    path = new_file(out, ".csv")
    jobs, notes = choose_jobs(run, ensemble)
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.data.encode import nonfinite_notes
    from exp.results.new_arrays import is_image_folder
    from exp.results.trained_ensemble import load_models
    from exp.training.predictions import prediction_columns

    trained = load_models(jobs, checkpoint)
    lead, table = trained.lead, trained.read(data, keep_rows=True)
    outputs, is_complete, more = trained.outputs_of_table(table.frame, data)
    predictions = prediction_columns(lead.objective, lead.preprocessing, outputs)
    if is_image_folder(data, lead.preprocessing):
        predictions = {"file": table.frame.index.to_numpy(str)[is_complete], **predictions}
    lines = csv_file.lines_of(predictions.values())
    blank = [""] * len(predictions)
    with replacement(path, shared=True) as temporary:  # `shared`: the folder is the user's, and may have a .tmp file
        written = (next(lines) if is_kept else blank for is_kept in is_complete.tolist())
        csv_file.write(temporary, predictions, written)
    text = [*notes, *table.notes, *more, *nonfinite_notes(predictions)]
    rows_without = len(is_complete) - int(is_complete.sum())
    empty = f" ({pluralize(rows_without, 'empty line')} for rows with gaps)" if rows_without else ""
    count = int(is_complete.sum())
    fields = {
        "runs": [str(job) for job in jobs],
        "out": out,
        "predictions": count,
        "empty": rows_without,
        "target": lead.preprocessing.target,
        "parameters": trained.parameters,
        "notes": text,
    }
    line = f"{pluralize(count, 'prediction')} of {lead.preprocessing.target}{empty}, {trained.parameters}: {out}"
    return TextAnswer(fields, [*text, line])


if __name__ == "__main__":
    run_command(predict, sys.argv[1:])
