"""`exp predict`: the predictions of a trained model for the rows of a table."""

import csv
import sys
from pathlib import Path

from exp.cli.commands import new_file, run_command
from exp.errors import ConfigError, pluralize


def predict(run: str, data: str, out: str, checkpoint: str = "auto") -> None:
    """Write the predictions of a trained model for the rows of a table.

        python -m exp predict run=FOLDER data=new.csv out=predictions.csv

    The CSV file has one line per row, in order: the class and the probability of each class, or the value. The rows are
    preprocessed as the run's were. The table needs the run's feature columns; other columns, the target among them, are
    ignored.

    Args:
        run: Folder of the run.
        data: Table with the rows, .csv, .tsv, .parquet or .xlsx.
        out: File to write, .csv.
        checkpoint: last, best (of the validation metric, metric=), or auto: that of the run's final metrics.
    """
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.data.encode import encode_rows, nonfinite_notes
    from exp.results.trained_model import load_trained

    if Path(out).suffix != ".csv":
        raise ConfigError(f"out={out}: must be a .csv file", f"out={Path(out).with_suffix('.csv')}")
    new_file(out)
    trained = load_trained(run, checkpoint)
    table = trained.read(data, keep_rows=True)
    rows, is_complete, notes = encode_rows(table.frame, trained.preprocessing, data)
    predictions = trained.predict(rows[is_complete])
    with Path(out).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(predictions)
        lines = iter(zip(*(column.tolist() for column in predictions.values()), strict=True))
        writer.writerows(next(lines) if is_kept else [""] * len(predictions) for is_kept in is_complete.tolist())
    for note in (*table.notes, *notes, *nonfinite_notes(predictions)):
        print(note)
    rows_without = len(is_complete) - int(is_complete.sum())
    empty = f" ({pluralize(rows_without, 'empty line')} for rows with gaps)" if rows_without else ""
    print(f"{int(is_complete.sum()):,} predictions of {trained.preprocessing.target}{empty}: {out}")


if __name__ == "__main__":
    run_command(predict, sys.argv[1:])
