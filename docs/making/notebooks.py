"""A notebook, as it was saved with its outputs, as a page: nothing is run, and nothing is loaded from anywhere."""

import base64
import json
import re
from pathlib import Path
from typing import Any

# What an output is shown as, the first that it has.
_PICTURE, _HTML, _TEXT = "image/png", "text/html", "text/plain"
# pandas' own, which the theme's are better than.
_LOOKS = re.compile(r'<style.*?</style>| border="1"| class="dataframe"', re.DOTALL)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def page_of(path: Path) -> tuple[str, dict[str, bytes]]:
    """The notebook as Markdown, and the pictures beside it, each by its file's name."""
    notebook = json.loads(path.read_text("utf-8"))
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code" and source.strip():
            parts.append(_fenced("python", source))
            for output in cell["outputs"]:
                parts.append(_shown(output, f"{path.stem}-{len(pictures)}.png", pictures))
    if not any(part.startswith("# ") for part in parts[:1]):
        parts.insert(0, f"# {title_of(path)}")
    return "\n\n".join(part for part in parts if part), pictures


def title_of(path: Path) -> str:
    return path.stem.replace("_", " ")


def _shown(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    if output["output_type"] == "stream":
        return _fenced("text", "".join(output["text"]))
    if output["output_type"] == "error":
        return _fenced("text", "\n".join(output["traceback"]))
    data = output["data"]
    if _PICTURE in data:
        pictures[name] = base64.b64decode("".join(data[_PICTURE]))
        return f"![What the cell above drew]({name})"
    if _HTML in data:
        # A blank line would end the HTML for Markdown.
        text = re.sub(r"\n\s*\n", "\n", _LOOKS.sub("", "".join(data[_HTML])))
        return f'<div class="output">\n{text}\n</div>'
    text = "".join(data.get(_TEXT, ""))
    return _fenced("text", text) if text.strip() else ""  # a bar that is gone at its end


def _fenced(language: str, text: str) -> str:
    mark = "output" if language == "text" else ""
    head = f"``` {{ .{language} .{mark} }}" if mark else f"```{language}"
    return f"{head}\n{_ESCAPES.sub('', text).rstrip()}\n```"
