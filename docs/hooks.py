"""Hooks of the mkdocs build that add the pages generated from conf/ and the notebooks."""

from collections.abc import Iterator
from pathlib import Path

from making.notebooks import notebook_title, to_markdown
from making.pages import HERE, build_pages, page_titles
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

NOTEBOOKS = sorted((HERE / "notebooks").glob("*.ipynb"))

# The width from which the navigation stays beside the page, in em of 16 pixels: the theme's, which hides it on a screen
# of 1,200 pixels, and ours. The theme has no setting for it. Its styles also name the greatest width below it.
_BREAKPOINTS = {"76.25em": "65em", "76.234375em": "64.984375em"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the generated pages to the navigation."""
    for section in config.nav or []:
        if "Options" in section:
            section["Options"] = [{title: page} for page, title in page_titles().items()]
    if NOTEBOOKS:
        pages = [{notebook_title(path): f"notebooks/{path.stem}.md"} for path in NOTEBOOKS]
        config.nav = [*(config.nav or [])[:-1], {"Notebooks": pages}, *(config.nav or [])[-1:]]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for generated in _generate_files(config):
        if written := files.get_file_from_path(generated.src_uri):
            files.remove(written)
        files.append(generated)
    return files


def _generate_files(config: MkDocsConfig) -> Iterator[File]:
    for page, text in build_pages().items():
        yield File.generated(config, page, content=text)
    for path in HERE.glob("*.png"):
        yield File.generated(config, path.name, abs_src_path=str(path))
    for path in NOTEBOOKS:
        text, images = to_markdown(path)
        yield File.generated(config, f"notebooks/{path.stem}.md", content=text)
        for name, content in images.items():
            yield File.generated(config, f"notebooks/{name}", content=content)


def on_post_build(config: MkDocsConfig) -> None:
    """Show the navigation beside the page on narrower screens than the theme does."""
    assets = Path(config.site_dir, "assets")
    files = [*assets.glob("stylesheets/*.css"), *assets.glob("javascripts/bundle.*.js")]
    texts = {path: path.read_text("utf-8") for path in files}
    for theirs in _BREAKPOINTS:
        if not any(theirs in text for text in texts.values()):
            raise PluginError(f"the theme no longer has the breakpoint {theirs}: correct _BREAKPOINTS in docs/hooks.py")
    for path, text in texts.items():
        for theirs, ours in _BREAKPOINTS.items():
            text = text.replace(theirs, ours)
        path.write_text(text, "utf-8")
