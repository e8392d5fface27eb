"""What a trained model says of new rows: `python -m exp.predict run=FOLDER data=new.csv out=predictions.csv`.

Writes a row for each row of the table, in its order: the class and a probability for each class, or the value. What the
run learned of its columns is applied to them; the target need not be there, and other columns are not looked at.
`checkpoint=best` takes the parameters of the lowest validation loss instead of the last.
"""

import csv
from pathlib import Path

from exp.cli.key_value import new_file, run_command
from exp.data.encode import encode_rows, nonfinite_notes
from exp.errors import ConfigError
from exp.results.trained_model import load_trained

_KNOWN = {"run": True, "data": True, "out": True, "checkpoint": False}


def predict(run: str, data: str, out: str, checkpoint: str = "last") -> None:
    """Write the predictions; say what was not known in the rows."""
    if Path(out).suffix != ".csv":
        raise ConfigError(f"out={out}: it writes .csv", f"out={Path(out).with_suffix('.csv')}")
    new_file(out)
    trained = load_trained(run, checkpoint)
    rows, whole, notes = encode_rows(trained.read(data), trained.preprocessing, data)
    told = trained.predict(rows[whole])
    with Path(out).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(told)
        lines = iter(zip(*(column.tolist() for column in told.values()), strict=True))
        writer.writerows(next(lines) if there else [""] * len(told) for there in whole.tolist())
    for note in (*notes, *nonfinite_notes(told)):
        print(note)
    print(f"{int(whole.sum()):,} predictions of {trained.preprocessing.target}: {out}")


if __name__ == "__main__":
    run_command(
        "predict", __doc__, _KNOWN, "python -m exp.predict run=FOLDER data=new.csv out=predictions.csv", predict
    )
