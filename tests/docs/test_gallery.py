"""The gallery: ten examples, each with a small picture that its own commands draw, and a card. Their output is compared
by test_every_command.py."""

import re
from pathlib import Path

import pytest
from making.pages import PAGES
from PIL import Image
from reading import parse

GALLERY = PAGES / "gallery"
EXAMPLES = [path for path in sorted(GALLERY.glob("*.md")) if path.stem != "index"]
PICTURE = re.compile(r'^!\[(.+)\]\((\w+\.webp) "(\S+\.png)"\)$', re.MULTILINE)


def test_there_are_ten_examples_and_no_other_picture():
    assert len(EXAMPLES) == 10
    assert {path.stem for path in GALLERY.glob("*.webp")} == {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_a_question_a_command_its_output_and_a_small_picture(page: Path):
    text = page.read_text("utf-8")
    ((_, picture, drawn),) = PICTURE.findall(text)
    assert (GALLERY / picture).stat().st_size < 60_000
    with Image.open(GALLERY / picture) as image:
        assert min(image.size) > 200
    blocks = parse(text)
    written = " ".join(block.text for block in blocks)
    assert drawn in written or str(Path(drawn).parents[1]) in written  # the folder of the run or the sweep
    assert any(block.printed for block in blocks)
    assert "\n**Question.** " in text
    assert "\n**What one learns.** " in text


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_a_card_with_its_picture_and_its_command(page: Path):
    cards = re.split('<div class="card(?: row)?" markdown>', (GALLERY / "index.md").read_text("utf-8"))[1:]
    (card,) = [card for card in cards if f"({page.name})" in card]
    (shown,) = re.findall(r"^`(python -m exp .+)`$", card, re.MULTILINE)
    assert f"[![{PICTURE.findall(page.read_text('utf-8'))[0][0]}]({page.stem}.webp)]({page.name})" in card
    assert any(line.startswith(shown) for block in parse(page.read_text("utf-8")) for line in block.lines)
