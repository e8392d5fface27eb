"""The site has an entry for every option and key of conf/, builds without warnings and loads nothing from outside."""

import base64
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import making.options
import making.pages
import pytest
import yaml
from making.notebooks import to_markdown
from making.options import group_names, read_options
from making.pages import OTHER_KEYS, build_option_pages, page_titles

from exp.config.schema import CONF, flatten

DOCS = Path(__file__).parents[2] / "docs"
_option_pages = functools.cache(build_option_pages)  # it reads every YAML
OPTIONS = [path for path in sorted(CONF.glob("*/*.yaml")) if path.parent.name != "hydra"]


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_option_and_every_key_has_an_entry(path: Path):
    group, text = path.parent.name, path.read_text()
    entry = _option_pages()[f"options/{group}.md"].partition(f"\n## {path.stem}\n")[2].partition("\n## ")[0]
    prefix = "" if "# @package _global_" in text else f"{group}."
    for key in flatten(yaml.safe_load(text), prefix):
        if key.rpartition(".")[2] not in ("_target_", "defaults"):
            # A mapping in one line, such as {bias: 0.1}, is one value.
            assert f"| `{key}` |" in entry or f"| `{key.rpartition('.')[0]}` |" in entry
    assert "python -m exp" in entry


def test_every_key_outside_the_groups_has_an_entry():
    content = yaml.safe_load((CONF / "config.yaml").read_text())
    page = _option_pages()[OTHER_KEYS]
    for key in flatten({key: value for key, value in content.items() if key not in ("defaults", "hydra")}):
        assert f"| `{key}` |" in page
    for key in ("hydra.run.dir", "hydra.launcher.partition", "hydra.sweeper.n_trials"):
        assert f"| `{key}` |" in page


def test_every_key_has_a_description():
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.*) \|$", "\n".join(_option_pages().values()), re.MULTILINE)
    assert len(rows) > 150
    assert [key for key, _, description in rows if not description] == []


def test_a_new_option_and_a_new_group_get_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.setattr(making.options, "CONF", tmp_path / "conf")
    monkeypatch.setattr(making.pages, "CONF", tmp_path / "conf")
    (tmp_path / "conf/loss/smooth_l1.yaml").write_text(
        "# Values: like huber, scaled by beta.\n#   python -m exp dataset=diabetes loss=smooth_l1\n"
        "_target_: torch.nn.SmoothL1Loss\noutput: value\nbeta: 1.0\n"
    )
    (tmp_path / "conf/sound").mkdir()
    (tmp_path / "conf/sound/quiet.yaml").write_text("# None.\n#   python -m exp sound=quiet\nvolume: 0  # in dB\n")
    pages = build_option_pages()
    entry = pages["options/loss.md"].partition("\n## smooth_l1\n")[2].partition("\n## ")[0]
    assert "Values: like huber, scaled by beta." in entry
    assert "python -m exp dataset=diabetes loss=smooth_l1" in entry
    assert "| `loss.beta` | `1.0` | Specifies the threshold" in entry
    assert "| `sound.volume` | `0` | in dB |" in pages["options/sound.md"]
    assert page_titles()["options/sound.md"] == "sound"


def test_other_arguments_of_a_target_are_listed():
    sgd = next(option for option in read_options("optimizer") if option.name == "sgd")
    assert "dampening" in sgd.other_arguments
    assert {"params", "lr"}.isdisjoint(sgd.other_arguments)
    assert set(group_names()) == {path.parent.name for path in OPTIONS}


def test_a_notebook_becomes_a_page_with_its_outputs(tmp_path: Path):
    picture = base64.b64encode(b"of a curve").decode()
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["loss 0.1\n"]},
        {"output_type": "display_data", "data": {"image/png": picture, "text/plain": "<Figure>"}},
        {"output_type": "execute_result", "data": {"text/html": "<table>\n\n</table>", "text/plain": "a table"}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# XOR\n", "Four points."]},
        {"cell_type": "code", "source": ["train()"], "outputs": outputs},
        {"cell_type": "code", "source": [], "outputs": []},
    ]
    (tmp_path / "xor.ipynb").write_text(json.dumps({"cells": cells}))
    page, pictures = to_markdown(tmp_path / "xor.ipynb")
    assert page.startswith("# XOR\nFour points.\n\n```python\ntrain()\n```\n")
    assert "loss 0.1" in page
    assert pictures == {"xor-0.png": b"of a curve"}
    assert "(xor-0.png)" in page
    assert "<table>\n</table>" in page
    assert "<Figure>" not in page


# A script, style, font or image from another host. Links are allowed.
EXTERNAL = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//"""
    r"""|<link[^>]*rel=["']?(?:stylesheet|preconnect|icon|preload)[^>]*href=["']?(?:https?:)?//"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//|url\(["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(DOCS / "mkdocs.yml"), "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_loads_nothing_from_other_hosts(site: Path):
    names = {path.relative_to(site).as_posix() for path in site.rglob("*")}
    assert {re.sub(r"\.md$", ".html", page) for page in (*making.pages.build_pages(), "404.md")} <= names
    for path in (path for path in site.rglob("*") if path.suffix in (".html", ".css")):
        assert EXTERNAL.findall(path.read_text("utf-8")) == [], path
    # On pages with a diagram, the theme would load Mermaid from another host.
    assert not any('class="mermaid"' in path.read_text("utf-8") for path in site.rglob("*.html"))


@pytest.mark.slow
def test_the_search_works_in_a_page_that_is_opened_from_the_file_system(site: Path, tmp_path: Path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("there is no Chromium")
    quiet = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking".split()
    command = [browser, *quiet, f"--user-data-dir={tmp_path}", "--virtual-time-budget=5000", "--dump-dom"]
    wanted = {
        "calibrate": "how-to/trained.html",
        "optimizer.lr": "options/optimizer.html",
        "patience": "options/other.html",
        "hidden": "options/model.html",
    }
    for query, found in wanted.items():
        address = f"{(site / 'index.html').as_uri()}?q={query}"
        page = subprocess.run([*command, address], capture_output=True, text=True, timeout=60).stdout
        links = [link.partition("?")[0].removeprefix(f"{site.as_uri()}/") for link in RESULT.findall(page)]
        assert found in links[:3], query  # by the page that says what a key means, before those that use it


@pytest.mark.slow
def test_the_navigation_stays_beside_the_page_on_a_screen_of_1200_pixels(site: Path):
    styles = "".join(path.read_text("utf-8") for path in site.glob("assets/stylesheets/*.css"))
    (script,) = site.glob("assets/javascripts/bundle.*.js")
    widths = {float(width) * 16 for width in re.findall(r"min-width: ?([\d.]+)em", styles + script.read_text("utf-8"))}
    assert 1040 in widths
    assert not any(1040 < width <= 1280 for width in widths)


# The address of a result of the search.
RESULT = re.compile(r'<a href="([^"]+)" class="md-search-result__link"')
