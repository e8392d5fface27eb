"""What mkdocs calls while it builds: the pages that are made from conf/ and the notebooks come in here."""

from collections.abc import Iterator

from making.notebooks import page_of, title_of
from making.pages import HERE, every_page, titles
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

NOTEBOOKS = sorted((HERE / "notebooks").glob("*.ipynb"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation's entries for what is made."""
    for section in config.nav or []:
        if "Options" in section:
            section["Options"] = [{title: page} for page, title in titles().items()]
    if NOTEBOOKS:
        pages = [{title_of(path): f"notebooks/{path.stem}.md"} for path in NOTEBOOKS]
        config.nav = [*(config.nav or [])[:-1], {"Notebooks": pages}, *(config.nav or [])[-1:]]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for made in _made(config):
        if there := files.get_file_from_path(made.src_uri):
            files.remove(there)
        files.append(made)
    return files


def _made(config: MkDocsConfig) -> Iterator[File]:
    for page, text in every_page().items():
        yield File.generated(config, page, content=text)
    for path in HERE.glob("*.png"):
        yield File.generated(config, path.name, abs_src_path=str(path))
    for path in NOTEBOOKS:
        text, pictures = page_of(path)
        yield File.generated(config, f"notebooks/{path.stem}.md", content=text)
        for name, content in pictures.items():
            yield File.generated(config, f"notebooks/{name}", content=content)
