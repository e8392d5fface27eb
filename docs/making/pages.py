"""Build all pages of the site as Markdown: those in pages/ and those generated from conf/."""

import html
import re
from dataclasses import fields, replace
from pathlib import Path

from hydra.core.config_store import ConfigStore

from exp.cli.json_fields import ERROR, EVERY, read_json_fields
from exp.config.allowlist import READ_BY_EXP
from exp.config.schema import CONF
from exp.config.yaml_comments import parse_opening
from hydra_plugins import exp_plugins
from making.options import Key, Option, group_names, read_fields, read_keys, read_options

HERE = Path(__file__).resolve().parents[1]
PAGES = HERE / "pages"
OTHER_KEYS = "options/other.md"

# How much more a word counts on a page of options than on another page.
_BOOST = 20


def build_pages() -> dict[str, str]:
    """Return the Markdown of each page by its path in the site, without the notebooks."""
    paths = [*sorted(PAGES.rglob("*.md")), PAGES / "llms.txt"]
    written = {str(path.relative_to(PAGES)): _read_page(path) for path in paths}
    return written | build_option_pages()


def build_option_pages() -> dict[str, str]:
    """Return a page for each group and one for the other keys, each introduced by the file of its name in pages/."""
    options = {group: read_options(group) for group in group_names()}
    descriptions = {key.name: key.description for key in _read_other_keys() if key.description}
    for option in (option for members in options.values() for option in members):
        own = [key for key in option.keys if key.description and key.name.startswith(f"{option.group}.")]
        descriptions = {key.name: key.description for key in own} | descriptions
    pages = {f"options/{group}.md": _format_group(members, descriptions) for group, members in options.items()}
    pages[OTHER_KEYS] = _format_other_keys()
    return {page: f"{_search_weight(page)}{_introduction(page)}\n\n{text}" for page, text in pages.items()}


def page_titles() -> dict[str, str]:
    """Return the title of each option page by its path, in the order of the navigation."""
    order = ["dataset", "model", "loss", "optimizer", "scheduler", "batching", "device", "experiment"]
    names = sorted(group_names(), key=lambda group: order.index(group) if group in order else len(order))
    return {f"options/{group}.md": group for group in names} | {OTHER_KEYS: "other keys"}


def _search_weight(page: str) -> str:
    """Return the front matter that ranks the page which says what a key means above those that use the key."""
    if page == "options/experiment.md":
        return ""
    return f"---\nsearch:\n  boost: {_BOOST}\n---\n\n"


def _read_page(path: Path) -> str:
    """Read a page, with its lines {{ SVG: inside.svg }} and {{ JSON: error }} replaced."""
    text = re.sub(r"^{{ SVG: (.+) }}$", lambda match: _inline_svg(match[1]), path.read_text("utf-8"), flags=re.M)
    return re.sub(r"^{{ JSON: (.+) }}$", lambda match: _json_fields(match[1]), text, flags=re.M)


def _json_fields(what: str) -> str:
    """Return the fields of one object as a table, those of every command with headings, or their names as a list."""
    fields = read_json_fields()
    commands = [name for name in fields if name not in (EVERY, ERROR)]
    if what == "names":
        return "\n".join(f"- `{name}`: {' '.join(f'`{field}`' for field in fields[name])}" for name in commands)
    if what == "commands":
        return "\n\n".join(f"### {name}\n\n{_json_fields(name)}" for name in commands)
    rows = [f"| `{name}` | {_cell(clause)} |" for name, clause in fields[what].items()]
    return "\n".join(["| field | |", "|---|---|", *rows])


def _inline_svg(name: str) -> str:
    """Return an image as inline SVG, which takes the colours of the page. In Markdown, a blank line would end it."""
    return re.sub(r"\n\n+", "\n", (HERE / name).read_text("utf-8").strip())


def _introduction(page: str) -> str:
    path = PAGES / page
    return _read_page(path).rstrip() if path.exists() else f"# {path.stem}"


def _format_group(options: list[Option], descriptions: dict[str, str]) -> str:
    rows = [f"| [`{option.name}`](#{option.name}) | {_cell(option.text)} |" for option in options]
    entries = [_format_option(option, descriptions) for option in options]
    return "\n".join(["| option | description |", "|---|---|", *rows, "", *entries])


def _format_option(option: Option, descriptions: dict[str, str]) -> str:
    """Format an option. `descriptions` has those of keys that may be described in another option's YAML."""
    keys = [
        replace(key, description=descriptions.get(key.name, ""))
        if not key.description and _is_described_elsewhere(option, key)
        else key
        for key in option.keys
    ]
    head = "set to" if option.group == "experiment" else "default"
    parts = [f"## {option.name}", "", _prose(option.text)]
    if option.overrides:
        parts += ["", f"This option also sets {' and '.join(f'`{override}`' for override in option.overrides)}."]
    parts += ["", *_format_commands(option.commands), "", *_format_table(keys, head)]
    if option.target and not option.target.startswith("exp."):
        parts += ["", f"`{option.target}`: {_prose(option.summary)}."]
    if arguments := option.other_arguments:
        names = ", ".join(f"`{name}`" for name in arguments)
        parts += ["", f"Other arguments, which need a `+` (`+{option.group}.{arguments[0]}=VALUE`): {names}."]
    return "\n".join([*parts, ""])


def _format_commands(commands: list[str]) -> list[str]:
    return ["```bash", *commands, "```"]


def _is_described_elsewhere(option: Option, key: Key) -> bool:
    return option.group == "experiment" or key.name.rpartition(".")[2] in READ_BY_EXP.get(option.group, ())


def _format_table(keys: list[Key], head: str = "default") -> list[str]:
    if not keys:
        return ["This option has no keys."]
    rows = [f"| `{key.name}` | {_format_default(key)} | {_format_description(key)} |" for key in keys]
    return [f"| key | {head} | description |", "|---|---|---|", *rows]


def _format_default(key: Key) -> str:
    return f"`{key.value}`" if key.value else "*required*"


def _format_description(key: Key) -> str:
    """Return the description of a key, and below it the allowed values."""
    allowed = f'<span class="allowed">{_cell(key.allowed)}</span>' if key.allowed else ""
    return "<br>".join(part for part in (_cell(key.description), allowed) if part)


def _cell(text: str) -> str:
    return _prose(text).replace("|", r"\|")


def _prose(text: str) -> str:
    """Escape text for Markdown, and format overrides and pip commands in it as code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _CODE.sub(r"`\1`", _escape(part)) for part in parts)


# An override or a pip command.
_CODE = re.compile(r"""(pip install -e ".+?"|pip install '.+?'|(?<![\w.])(?:[a-z_]+[./])*[a-z_]+=[\w.,:]*\w)""")


def _escape(text: str) -> str:
    return re.sub(r"(?<!\w)[*_]|[*_](?!\w)", r"\\\g<0>", html.escape(text, quote=False))


def _read_other_keys() -> list[Key]:
    """Return the keys of config.yaml that belong to no group."""
    excluded = {*group_names(), "defaults"}
    text = (CONF / "config.yaml").read_text("utf-8")
    return [key for key in read_keys(text, "", "", None) if key.name.partition(".")[0] not in excluded]


def _format_other_keys() -> str:
    keys = _read_other_keys()
    of_run = [key for key in keys if not key.name.startswith(("sweep.", "hydra."))]
    of_sweep = [key for key in keys if key.name.startswith("sweep.")]
    of_hydra = [key for key in keys if key.name.startswith("hydra.") and key.description]
    _, commands = parse_opening((CONF / "config.yaml").read_text("utf-8"))
    parts = ["## Run", "", *_format_table(of_run), "", "## Sweep", "", *_format_table(of_sweep), ""]
    parts += ["## Hydra", "", *_format_table(of_hydra), ""]
    for group in ("launcher", "sweeper"):
        for name, schema in sorted(_plugin_schemas(group).items()):
            parts += [
                f"### {group} {name}",
                "",
                f"`hydra/{group}={name}`: {_prose(_describe(schema))}",
                "",
                *_format_fields(group, schema),
                "",
            ]
    parts += ["## Examples", "", *_format_commands([command for command, _ in commands])]
    return "\n".join(parts)


def _plugin_schemas(group: str) -> dict[str, type]:
    """Return the schema of each Hydra launcher or sweeper that exp adds, by name."""
    stored = ConfigStore.instance().repo["hydra"][group]
    schemas = {value.__name__: value for value in vars(exp_plugins).values() if isinstance(value, type)}
    nodes = {name.removesuffix(".yaml"): node for name, node in stored.items() if node.provider == "exp"}
    return {name: schemas[node.node._metadata.object_type.__name__] for name, node in nodes.items()}


def _describe(schema: type) -> str:
    """Return the docstring of a schema or one of its bases, or else a part of its target's docstring."""
    docs = (base.__doc__ or "" for base in schema.__mro__[:-1])
    target = next(str(field.default) for field in fields(schema) if field.name == "_target_")
    of_target = vars(exp_plugins)[target.rpartition(".")[2]].__doc__.partition(": ")[2].partition(";")[0]
    # A dataclass without a docstring has its signature as __doc__.
    return " ".join(next((doc for doc in docs if not re.match(r"\w+\(", doc)), of_target).split())


def _format_fields(group: str, schema: type) -> list[str]:
    return _format_table([replace(key, name=f"hydra.{group}.{key.name}") for key in read_fields(schema)])
