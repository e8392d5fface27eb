"""Run the commands of the gallery's pages, and write the pictures that they draw beside the pages.

PYTHONPATH=docs:tests/docs python docs/making/gallery.py [PAGE...]

A picture in a page names the file that its commands draw: ![What it shows](xor.webp "outputs/xor/figures/scores.png").
"""

import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from reading import Reader, parse

GALLERY = Path(__file__).parents[1] / "pages/gallery"
WIDTH = 1200  # in pixels, of wide pictures
PICTURE = re.compile(r'^!\[.+\]\((?P<file>\w+\.webp) "(?P<drawn>\S+\.png)"\)$', re.MULTILINE)


def draw(page: Path) -> Path:
    """Run the page's commands in an empty folder, and return its new picture."""
    text = page.read_text("utf-8")
    picture = PICTURE.search(text)
    assert picture, f"{page} has no picture"
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder))
        for block in parse(text):
            reader.do(block)
        image = Image.open(Path(folder, picture["drawn"])).convert("RGB")
    image.thumbnail((WIDTH, WIDTH))
    image.save(page.parent / picture["file"], quality=75, method=6)
    return page.parent / picture["file"]


def main(names: list[str]) -> None:
    for page in sorted(GALLERY.glob("*.md")):
        if page.stem != "index" and (not names or page.stem in names):
            picture = draw(page)
            print(f"{picture.relative_to(GALLERY.parents[1])}: {picture.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
