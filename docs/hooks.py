"""Hooks of the mkdocs build that add the pages generated from conf/ and the notebooks."""

from collections.abc import Iterator

from making.notebooks import notebook_title, to_markdown
from making.pages import HERE, build_pages, page_titles
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

NOTEBOOKS = sorted((HERE / "notebooks").glob("*.ipynb"))


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
