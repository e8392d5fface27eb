"""What all figures share: colours of classes, names as text, and how much a figure shows."""

MAX_CLASSES_WITH_COUNTS = 25  # names and counts of more cannot be read
MAX_POINTS = 2000  # more cannot be distinguished
MAX_LETTERS = 24  # of a name in a figure
_NAMES = ("blue", "red", "green", "orange", "purple", "brown", "pink", "gray", "olive", "cyan")
_COLOURS = tuple(f"tab:{name}" for name in _NAMES)


def escape(name: str, letters: int = MAX_LETTERS) -> str:
    """Return the start of a name with escaped dollar signs, which start a formula in matplotlib."""
    start = name if len(name) <= letters else f"{name[: letters - 1]}\u2026"
    return start.replace("$", r"\$")


def colour_of(number: int) -> str:
    """Return the colour of the class with that number."""
    return _COLOURS[number % len(_COLOURS)]
