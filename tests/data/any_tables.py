"""Tables as people have them: odd cells, odd names, odd files. `make_table` makes one from a random generator."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from random import Random

# Cells of a column, by kind. Each function returns one cell.
KINDS = {
    "integer": lambda r: str(r.randint(-20, 2000)),
    "few integers": lambda r: str(r.randint(0, 3)),
    "real": lambda r: f"{r.gauss(50, 20):.3f}",
    "huge": lambda r: f"{r.uniform(-1, 1):.6f}e{r.choice((30, 150, 300, 308))}",
    "tiny": lambda r: f"{r.uniform(-1, 1):.6f}e-{r.choice((30, 150, 300, 320))}",
    "far from zero": lambda r: str(10**15 + r.randint(0, 9)),
    "long integer": lambda r: str(r.randint(10**18, 10**25)),
    "thousands": lambda r: f"{r.randint(0, 5_000_000):,}",
    "decimal comma": lambda r: f"{r.gauss(50, 20):.2f}".replace(".", ","),
    "percent": lambda r: f"{r.randint(0, 100)} %",
    "currency": lambda r: f"${r.uniform(1, 5000):,.2f}",
    "unit": lambda r: f"{r.randint(1, 99)} kg",
    "bound": lambda r: r.choice((f"<{r.randint(1, 3)}", f"{r.randint(3, 90)}")),
    "brackets": lambda r: r.choice((f"({r.randint(1, 50)})", f"{r.randint(1, 50)}")),
    "infinite": lambda r: r.choice(("inf", "-inf", "Infinity", f"{r.gauss(0, 1):.2f}", f"{r.gauss(0, 1):.2f}")),
    "words": lambda r: r.choice(("Graz", "Linz", "Wien", "Sankt Pölten")),
    "many words": lambda r: f"w{r.randint(0, 10**6)}",
    "odd words": lambda r: r.choice(
        ("ü", "日本", "$x_1$", "a=b", "a,b;c", 'say "hi"', "two\nlines", "😀", "NA ", "it's", "%d")
    ),
    "gap words": lambda r: r.choice(("NA", "None", "null", "?", "-", "nan", "yes", "no", "NaT")),
    "yes or no": lambda r: r.choice(("yes", "no")),
    "boolean": lambda r: r.choice(("True", "False")),
    "mixed booleans": lambda r: r.choice(("True", "false", "1", "0", "t")),
    "date": lambda r: f"{r.randint(1990, 2030)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}",
    "slashes": lambda r: f"{r.randint(1, 31)}/{r.randint(1, 12)}/{r.randint(2000, 2024)}",
    "time": lambda r: f"{r.randint(0, 23)}:{r.randint(0, 59):02}",
    "odd date": lambda r: r.choice(
        ("2024-02-30", "0000-00-00", "31.12.9999", "1 May 2024", "0001-01-01", "2024-01-01T10:00Z")
    ),
    "code": lambda r: f"{r.randint(0, 9999):05}",
    "number": lambda r: r.choice(("1", "1.0", "01", "1e0", "+1", "2", " 2 ", "2.50", ".5", "5.")),
    "constant": lambda r: r.choice("7"),
    "empty": lambda r: r.choice(("",)),
    "blank": lambda r: " " * r.randint(0, 3),
    "long": lambda r: "x" * r.choice((1, 300, 5000)),
}
ODD_CELLS = (
    "",
    "",
    " ",
    "NA",
    "?",
    "-",
    "None",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "-1e308",
    "5e-324",
    "word",
    "0",
    "1,5",
    "12:61",
    "#REF!",
    "\t",
    "\0",
    "é",
    '"',
)
NAMES = (
    *(
        "age",
        "town",
        "y",
        "price",
        "kg/m²",
        "date of birth",
        "id",
        "x",
        "0",
        "1",
        "2021",
        "3.5",
        "null",
        "NA",
        "None",
        "true",
        "[a]",
        "{b}",
    ),
    *(
        "a=b",
        "a,b",
        "a.b",
        "a: b",
        "a'b",
        'a"b',
        "a\\",
        "${c}",
        "$d",
        "~e",
        "@f",
        "größe",
        "日本",
        "😀",
        " g ",
        "h\ni",
        "--j",
        "#k",
        "?",
        "1e5",
        "l" * 200,
    ),
    *(
        "Unnamed: 0",
        "prediction",
        "column 1",
        "",
        "%s",
        "a/b",
        "a;b",
        "a|b",
        "inf",
        "nan",
        "-1",
        "1_000",
        "0x10",
        "A",
        "a",
    ),
)


@dataclass(frozen=True)
class AnyTable:
    """The rows of a table as text, and how its file is written."""

    names: list[str]
    rows: list[list[str]]
    target: int
    separator: str = ","
    encoding: str = "utf-8"
    line_end: str = "\n"
    is_quoted: bool = False
    suffix: str = ".csv"
    is_compressed: bool = False

    def content(self) -> bytes:
        text = "".join(f"{self._line(row)}{self.line_end}" for row in (self.names, *self.rows))
        content = text.encode(self.encoding, "replace")
        return gzip.compress(content, mtime=0) if self.is_compressed else content

    def shown_names(self) -> list[str]:
        """The names as messages have them: in the characters of the file, and on one line."""
        written = [name.encode(self.encoding, "replace").decode(self.encoding) for name in self.names]
        return [" ".join(name.strip("\ufeff").split("\n")).strip() for name in written]

    def data_lines(self) -> list[str]:
        """The lines of the rows, without blank ones, which are no rows."""
        lines = map(self._line, self.rows)
        return [line for line in lines if line.strip() or self.separator in line]

    def _line(self, row: list[str]) -> str:
        return self.separator.join(map(self._spell, row))

    def _spell(self, cell: str) -> str:
        needs_quotes = self.is_quoted or any(mark in cell for mark in f'{self.separator}"\r\n')
        return '"' + cell.replace('"', '""') + '"' if needs_quotes else cell

    def write(self, folder: Path, name: str = "any") -> Path:
        path = folder / f"{name}{self.suffix}{'.gz' if self.is_compressed else ''}"
        path.write_bytes(self.content())
        return path


def make_table(random: Random, count: int, kinds: list[str], oddity: float) -> AnyTable:
    """Return a table of `count` rows with a column for each of `kinds`, of whose cells a share `oddity` is odd."""
    makers = [KINDS[kind] for kind in kinds]
    rows = [
        [make(random) if random.random() >= oddity else random.choice(ODD_CELLS) for make in makers]
        for _ in range(count)
    ]
    if random.random() < 0.3:
        names = random.choices(NAMES, k=len(kinds))
    elif random.random() < 0.5:
        names = random.sample(NAMES, len(kinds))
    else:
        names = [f"{kind} {place}" for place, kind in enumerate(kinds)]
    if rows and random.random() < 0.08:
        row = random.choice(rows)
        row[:] = row[:-1] if random.random() < 0.5 else [*row, "more"]
    if rows and random.random() < 0.1:
        rows.append(list(random.choice(rows)))
    return AnyTable(
        names,
        rows,
        random.randrange(len(kinds)),
        separator=random.choice((",", ",", ";", "\t", "|")),
        encoding=random.choice(("utf-8", "utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16")),
        line_end=random.choice(("\n", "\n", "\r\n", "\r")),
        is_quoted=random.random() < 0.2,
        suffix=random.choice((".csv", ".csv", ".txt", ".tsv", ".data")),
        is_compressed=random.random() < 0.1,
    )
