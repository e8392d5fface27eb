"""Predict new rows: `python predict.py rows.csv`, or `predict([{"COLUMN": VALUE, ...}, ...])` in Python.
Needs NumPy, and onnxruntime or torch; not exp, which wrote it. `model.json` has what was fitted to training rows."""

import csv
import io
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
    if isinstance(cell, (list, dict)):
        raise ValueError(f"a cell must be one value, and a row an object of them or a list, got the cell {cell}")
    cell = int(cell) if isinstance(cell, float) and cell.is_integer() else cell
    word = "" if cell is None or cell != cell else str(cell).replace("\0", "").strip()
    is_number = STATE["empty_numbers"] and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", word, re.ASCII)
    return "" if word in STATE["empty"] or (is_number and float(word) in STATE["empty_numbers"]) else word


def category(cell: Any, column: Any) -> float:  # 11.0 is 11
    word = str(int(float(word))) if re.fullmatch(r"-?(0|[1-9]\d{0,14})(\.0+)?", word := text(cell)) else word
    numbers = {} if column["is_spelled"] and isinstance(cell, str) else column["numbers"]
    by_value = numbers.get(str(float(word)), -1) if re.fullmatch(r"[-+]?[0-9]{1,15}(\.[0-9]+)?", word) else -1
    return column["codes"].get(word, by_value) if word else -2


def plainly(word: str) -> str:
    return word.translate(str.maketrans(STATE["plainly"]))


def number(word: str, way: Any) -> float | None:
    if (found := re.fullmatch(way["pattern"], plainly(word), re.IGNORECASE)) is None:
        return None
    digits = found["number"].replace(way["thousands"], "").replace(way["decimal"], ".") + (found["exponent"] or "")
    return float(digits) * (-1 if found["open"] or "-" in {found["sign"], found["sign2"], found["trailing"]} else 1)


def day(word: str, way: Any) -> float | None:
    if (found := re.fullmatch(way["pattern"], " ".join(word.split()), re.IGNORECASE)) is None:
        return None
    part = {**dict.fromkeys(STATE["parts"], ""), **found.groupdict("")}
    clock = [int(part[unit] or 0) for unit in "HMS"]
    if part["half"]:
        clock[0] = clock[0] % 12 + 12 * (part["half"] in "pP") if 1 <= clock[0] <= 12 else 99
    zone = part["zone"].replace(":", "") + "00" if part["zone"][:1] in ("+", "-") else "+0000"
    away = int(f"{zone[0]}1") * (3600 * int(zone[1:3]) + 60 * int(zone[3:5]))
    time = (3600 * clock[0] + 60 * clock[1] + clock[2] + float(f"0.{part['f'] or 0}") - away) / 86400
    year = int(part["y"] or ("19" if part["yy"] > "68" else "20") + part["yy"])
    month = STATE["months"].get(part["name"].lower(), 13) or int(part["m"] or part["w"] or 3 * int(part["q"] or 1) - 2)
    try:
        days = (date.fromisocalendar if part["w"] else date)(year, month, int(part["d"] or 1)).toordinal() - 719163
    except ValueError:
        return None
    is_known = clock <= [24, 0, 0] and max(clock[1:]) <= 59 and (way["is_time"] or way["first"] <= year <= way["last"])
    return time + days * (not way["is_time"]) if is_known else None


def read_cell(cell: Any, column: Any) -> tuple[float, str]:  # its value, and what to tell about it
    kind, ways, word, note = column["kind"], column["ways"], text(cell), ""
    if kind == "category":
        return (code := category(cell, column)), "is rare or not in the training rows" * (code == -1)
    if word.lower() in STATE["gaps"] or word.startswith("0000-00-00"):
        return np.nan, ""
    reader: Any = {"number": number, "date": day, "boolean": lambda word, _: STATE["booleans"].get(word.lower())}[kind]
    value = float(cell) if kind == "number" and isinstance(cell, (int, float, np.number)) else reader(word, ways[0])
    value = np.inf if kind == "number" and word.lower() in STATE["infinite"] else value
    if value is None:  # as no cell of the training rows, but without doubt
        order = ways[0]["order"] or "dd" * word.lstrip("0123456789").startswith(".")
        others = [(other, way["order"]) for way in ways[1:] if (other := reader(word, way)) is not None]
        tries = ({other for other, _ in others}, {other for other, by in others if by == order})
        value = next((tried.pop() for tried in tries if len(tried) == 1), None)
        note = "is not written as in the training rows, and read in another way"
    if kind == "number" and value and ways[0]["unit"] not in " ".join(plainly(word).split()).casefold():
        note = f"lacks the {ways[0]['unit']} of the training rows, and is read as if it had it"
    if value is not None and abs(value) > 1e100:
        return np.nan, "is infinite or beyond 1e+100, and counts as empty"
    return (np.nan, f"is no {kind}, and read as empty") if value is None else (value, note)


def read(cells: list[Any], column: Any, tell: Any) -> list[float]:
    found = [read_cell(cell, column) for cell in cells]
    wrong = [str(cell) for cell, (_, note) in zip(cells, found, strict=True) if note.endswith("read as empty")]
    present = len(wrong) + sum(value == value for value, _ in found)
    if present >= STATE["fewest_cells"] and len(wrong) >= STATE["unreadable_share"] * present:
        what = f"{len(wrong)} of {present} cells cannot be read as {column['kind']}, such as {wrong[0]!r}"
        raise ValueError(f"column '{column['name']}': {what}; they must be written as in the training rows, or empty")
    for note in sorted({note for _, note in found} - {""}):
        told = [str(cell) for cell, one in zip(cells, found, strict=True) if one[1] == note]
        tell(f"column '{column['name']}': {told[0]!r} {note}" + f" ({len(told)} cells)" * (len(told) > 1))
    return [value for value, _ in found]


def plain(name: Any) -> str:
    return re.sub(r"\A'([^']+)'\Z", r"\1", re.sub(r"\s*[\r\n]\s*", " ", str(name).strip()))


def name_cells(names: Any, cells: Any) -> dict[str, Any]:
    names = [plain(name) or f"column {place}" for place, name in enumerate(names, 1)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"duplicate column names: {', '.join(twice)}")
    return dict(zip(names, cells, strict=True))


def records_of(words: str, mark: str) -> list[list[str]]:
    lines: Any = io.StringIO(words, newline="")
    lines = (" ".join(line.split()) + "\n" for line in lines) if mark == " " else lines
    return [*csv.reader(lines, delimiter=mark, skipinitialspace=True)]


def read_file(path: str) -> Any:
    """Return the rows of JSON, or those of a text file, below the names of the columns if it has them."""
    content, wanted = Path(path).read_bytes(), {column["name"] for column in STATE["columns"]}
    marked = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else STATE["encoding"]
    try:
        words = content.decode("utf-8-sig" if content[:3] == b"\xef\xbb\xbf" else marked)
    except UnicodeDecodeError:
        words = content.decode("cp1252", "replace")
    if not path.lower().endswith(".csv") and words.lstrip()[:1] in ("[", "{"):
        return json.loads(words)
    read = [records_of(words, mark) for mark in STATE["separators"]]
    places = [(lines, at) for lines in read for at in range(min(len(lines), 99))]
    lines, start = max(places, key=lambda place: len(wanted & {*map(plain, place[0][place[1]])}), default=([[]], 0))
    names, rows = [*map(plain, lines[start])], lines[start + 1 :]
    if STATE["is_numbered"] and not wanted & {*names}:
        read = [records_of(re.sub(STATE["above"], "", words), mark) for mark in STATE["separators"]]
        rows = max(read, key=lambda of: sum(1 + len(re.findall(STATE["cell"], "\n".join(r))) for r in of if r[1:]))
        names = [f"column_{place}" for place in range(1, max(map(len, rows), default=0) + 1)]
    rows = [row for row in rows if len(row) > 1 or "".join(row).strip()]
    if rows and {len(row) for row in rows} == {len(names) + 1}:  # separators at the ends, or row names in front
        names = [*names, ""] if not any(row[-1].strip() for row in rows) else ["", *names]
    end = max((place for place, row in enumerate(rows, 1) if any(map(text, row))), default=0)
    names = [f"{n} ({names[:at].count(n)})" if n and names.count(n) > 1 else n for at, n in enumerate(names, 1)]
    return [name_cells(names, [*row, *[""] * (len(names) - len(row))]) for row in rows[:end]]


def predict(rows: Any, tell: Any = lambda _: None) -> list[dict[str, Any]]:
    """Return what is predicted for each row, a dict or an array; None where a row lacks what the model needs."""
    columns, names, order, step = (STATE[key] for key in ("columns", "names", "order", "rows_per_pass"))
    rows = [rows] if isinstance(rows, dict) else rows
    rows = [row if isinstance(row, dict) else [*np.array(row, object).flat] for row in rows]
    if wrong := [(at, len(row)) for at, row in enumerate(rows, 1) if isinstance(row, list) and len(row) != len(order)]:
        raise ValueError(f"row {wrong[0][0]} has length {wrong[0][1]} instead of {len(order)}")
    rows = [name_cells([*row], row.values()) if isinstance(row, dict) else name_cells(order, row) for row in rows]
    if missing := sorted({column["name"] for column in columns for row in rows if column["name"] not in row}):
        raise ValueError(f"missing columns: {', '.join(missing)}")
    values = np.array([read([row[one["name"]] for row in rows], one, tell) for one in columns], dtype=np.float64).T
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
    try:
        answers = predict(read_file(sys.argv[1]), lambda warning: print(warning, file=sys.stderr))
    except (ValueError, OSError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    print(*map(json.dumps, answers), sep="\n")
