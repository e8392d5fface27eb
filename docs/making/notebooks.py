"""Convert a saved notebook and its outputs to a Markdown page, without running it."""

import base64
import json
import re
from pathlib import Path
from typing import Any

# The first of these formats that an output has is shown.
_PICTURE, _HTML, _TEXT = "image/png", "text/html", "text/plain"
# Styles of pandas tables; the theme has its own.
_PANDAS_STYLE = re.compile(r'<style.*?</style>| border="1"| class="dataframe"', re.DOTALL)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def to_markdown(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return the notebook as Markdown, and the PNG data of its images by file name."""
    notebook = json.loads(path.read_text("utf-8"))
    parts: list[str] = []
    images: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code" and source.strip():
            parts.append(_fence("python", source))
            for output in cell["outputs"]:
                parts.append(_format_output(output, f"{path.stem}-{len(images)}.png", images))
    if not any(part.startswith("# ") for part in parts[:1]):
        parts.insert(0, f"# {notebook_title(path)}")
    return "\n\n".join(part for part in parts if part), images


def notebook_title(path: Path) -> str:
    return path.stem.replace("_", " ")


def _format_output(output: dict[str, Any], name: str, images: dict[str, bytes]) -> str:
    if output["output_type"] == "stream":
        return _fence("text", "".join(output["text"]))
    if output["output_type"] == "error":
        return _fence("text", "\n".join(output["traceback"]))
    data = output["data"]
    if _PICTURE in data:
        images[name] = base64.b64decode("".join(data[_PICTURE]))
        return f"![Output of the cell above]({name})"
    if _HTML in data:
        # In Markdown, a blank line ends an HTML block.
        text = re.sub(r"\n\s*\n", "\n", _PANDAS_STYLE.sub("", "".join(data[_HTML])))
        return f'<div class="output">\n{text}\n</div>'
    text = "".join(data.get(_TEXT, ""))
    return _fence("text", text) if text.strip() else ""  # empty after a progress bar


def _fence(language: str, text: str) -> str:
    mark = "output" if language == "text" else ""
    head = f"``` {{ .{language} .{mark} }}" if mark else f"```{language}"
    return f"{head}\n{_ESCAPES.sub('', text).rstrip()}\n```"
