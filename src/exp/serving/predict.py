"""Predict new rows: `python predict.py rows.csv`, or `predict([{"COLUMN": VALUE, ...}, ...])` in Python.

Needs NumPy, and onnxruntime or torch; not exp, which wrote it. `model.json` has what was fitted to training rows."""

import csv
import json
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
STATE: Any = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
if STATE["model"].endswith(".onnx"):
    from onnxruntime import InferenceSession

    run: Any = InferenceSession(HERE / STATE["model"]).run
else:
    import torch

    network: Any = torch.export.load(HERE / STATE["model"]).module()
    run = torch.no_grad()(lambda _, inputs: [network(torch.from_numpy(inputs["values"])).numpy()])


def text(cell: Any) -> str:
    cell = int(cell) if isinstance(cell, float) and cell.is_integer() else cell
    word = "" if cell is None or cell != cell else str(cell).replace("\0", "").strip()
    is_number = STATE["empty_numbers"] and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", word, re.ASCII)
    return "" if word in STATE["empty"] or (is_number and float(word) in STATE["empty_numbers"]) else word


def category(cell: Any, column: Any) -> float:
    word = text(cell)
    if re.fullmatch(r"-?(0|[1-9]\d{0,14})(\.0+)?", word):  # 11.0 is 11
        word = str(int(float(word)))
    is_word = column["is_spelled"] and not isinstance(cell, (int, float, np.number))
    is_number = not is_word and re.fullmatch(r"[-+]?[0-9]{1,15}(\.[0-9]+)?", word)
    by_value = column["numbers"].get(str(float(word)), -1) if is_number else -1
    return column["codes"].get(word, by_value) if word else -2


def number(word: str, way: Any) -> float | None:
    if (found := re.fullmatch(way["pattern"], word.translate(str.maketrans(STATE["plainly"])), re.IGNORECASE)) is None:
        return None
    part = found.groupdict("")
    digits = part["number"].replace(way["thousands"], "").replace(way["decimal"], ".")
    return (-1 if part["open"] or "-" in part["sign"] + part["sign2"] else 1) * float(digits + part["exponent"])


def day(word: str, way: Any) -> float | None:
    if (found := re.fullmatch(way["pattern"], " ".join(word.split()), re.IGNORECASE)) is None:
        return None
    part = {**dict.fromkeys(STATE["parts"], ""), **found.groupdict("")}
    clock = [int(part[unit] or 0) for unit in "HMS"]
    if part["half"]:
        clock[0] = clock[0] % 12 + 12 * (part["half"] in "pP") if 1 <= clock[0] <= 12 else 99
    if clock > [24, 0, 0] or max(clock[1:]) > 59:
        return None
    zone = part["zone"].replace(":", "") + "00" if part["zone"][:1] in ("+", "-") else "+0000"
    away = int(f"{zone[0]}1") * (3600 * int(zone[1:3]) + 60 * int(zone[3:5]))
    time = (3600 * clock[0] + 60 * clock[1] + clock[2] + float(f"0.{part['f'] or 0}") - away) / 86400
    year = int(part["y"] or ("19" if part["yy"] > "68" else "20") + part["yy"])
    month = STATE["months"].get(part["name"].lower(), 13) or int(part["m"] or 3 * int(part["q"] or 1) - 2)
    try:
        days = date(year, month, int(part["d"] or 1)).toordinal() - 719163
    except ValueError:
        return None
    return time if way["is_time"] else days + time if way["first"] <= year <= way["last"] else None


def new_day(word: str, ways: list[Any]) -> float | None:
    order = ways[0]["order"] or "dd" * word.lstrip("0123456789").startswith(".")
    days = [(day(word, way), way["order"]) for way in ways]
    tries = (days[:1], days, [one for one in days if one[1] == order])  # written as the column, or without doubt
    found = [known for tried in tries if len(known := {value for value, _ in tried} - {None}) == 1]
    return found[0].pop() if found else None


def read(cells: list[Any], column: Any) -> list[float]:
    kind, ways = column["kind"], column["ways"]
    if kind == "category":
        return [category(cell, column) for cell in cells]
    given = {cell for cell in cells if kind == "number" and isinstance(cell, (int, float, np.number)) and text(cell)}
    words = {text(cell) for cell in cells if cell not in given}
    words -= {word for word in words if word.lower() in STATE["gaps"] or word.startswith("0000-00-00")}
    found: Any = {
        word: new_day(word, ways) if kind == "date" else STATE["booleans"].get(word.lower()) for word in words
    }
    if kind == "number":
        own, plain = ({word: number(word, way) for word in words} for way in ways)
        mixed = {word: plain[word] if own[word] is None else own[word] for word in words}
        found = plain if None in own.values() and None not in plain.values() else mixed
    values = [float(cell) if cell in given else found.get(text(cell)) for cell in cells]
    return [np.nan if value is None or abs(value) > 1e100 else value for value in values]


def predict(rows: list[Any]) -> list[dict[str, Any]]:
    """Return what is predicted for each row, a dict or an array; None where a row lacks what the model needs."""
    columns, names, order, step = (STATE[key] for key in ("columns", "names", "order", "rows_per_pass"))
    rows = [row if isinstance(row, dict) else dict(zip(order, np.ravel(row).tolist(), strict=True)) for row in rows]
    if missing := sorted({column["name"] for column in columns for row in rows if column["name"] not in row}):
        raise ValueError(f"missing columns: {', '.join(missing)}")
    values = np.array([read([row[column["name"]] for row in rows], column) for column in columns], dtype=np.float64).T
    parts = [run(None, {"values": values[start : start + step]})[0] for start in range(0, len(rows), step)]
    outputs = np.concatenate([np.zeros((0, STATE["width"])), *parts])
    is_complete = ~np.isnan(values[:, STATE["required"]]).any(1)
    predicted: Any = outputs.tolist() if STATE["kind"] == "numbers" else (outputs >= 0.5).astype(int).tolist()
    if STATE["kind"] == "classes":
        best = outputs.argmax(1) if STATE["threshold"] is None else (outputs[:, -1] >= STATE["threshold"]).astype(int)
        predicted = [[STATE["classes"][place]] for place in best]
    found = zip(predicted, outputs[:, : STATE["probabilities"]].tolist(), is_complete, strict=True)
    return [dict(zip(names, a + b, strict=True)) if ok else dict.fromkeys(names) for a, b, ok in found]


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8-sig", newline="") as file:
        table: Any = list(csv.DictReader(file)) if sys.argv[1].endswith(".csv") else json.load(file)
    print(*map(json.dumps, predict(table if isinstance(table, list) else [table])), sep="\n")
