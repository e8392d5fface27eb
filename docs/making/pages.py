"""Every page of the site as Markdown, those written by hand and those made from conf/."""

import html
import re
from dataclasses import fields, replace
from pathlib import Path

from hydra.core.config_store import ConfigStore

from exp.config.allowlist import READ_BY_EXP
from exp.config.schema import CONF
from hydra_plugins import exp_plugins
from making.options import Key, Option, fields_of, groups, keys, opening, options

HERE = Path(__file__).resolve().parents[1]
PAGES = HERE / "pages"
KNOBS = "options/other.md"


def every_page() -> dict[str, str]:
    """The Markdown of each page, by its path in the site, without the notebooks."""
    by_hand = {str(path.relative_to(PAGES)): _by_hand(path) for path in sorted(PAGES.rglob("*.md"))}
    return by_hand | option_pages()


def option_pages() -> dict[str, str]:
    """A page for each group, and one for the keys beside the groups; what is written by hand comes first in it."""
    every = {group: options(group) for group in groups()}
    said = {key.name: key.meaning for key in _of_config() if key.meaning}
    for option in (option for found in every.values() for option in found):
        its = {key.name: key.meaning for key in option.keys if key.meaning and key.name.startswith(f"{option.group}.")}
        said = its | said
    made = {f"options/{group}.md": _options(found, said) for group, found in every.items()}
    made[KNOBS] = _knobs()
    return {page: f"{_introduction(page)}\n\n{text}" for page, text in made.items()}


def titles() -> dict[str, str]:
    """Each of those pages and its title, the datasets first, as one meets the groups."""
    order = ["dataset", "model", "loss", "optimizer", "scheduler", "batching", "device", "experiment"]
    known = sorted(groups(), key=lambda group: order.index(group) if group in order else len(order))
    return {f"options/{group}.md": group for group in known} | {KNOBS: "other keys"}


def _by_hand(path: Path) -> str:
    """A page whose line {{ SVG: inside.svg }} is replaced by that picture."""
    return re.sub(r"^{{ SVG: (.+) }}$", lambda match: _drawn(match[1]), path.read_text("utf-8"), flags=re.M)


def _drawn(name: str) -> str:
    """The picture as a part of the page, where the page's colours reach it; a blank line would end it for Markdown."""
    return re.sub(r"\n\n+", "\n", (HERE / name).read_text("utf-8").strip())


def _introduction(page: str) -> str:
    path = PAGES / page
    return _by_hand(path).rstrip() if path.exists() else f"# {path.stem}"


def _options(found: list[Option], said: dict[str, str]) -> str:
    rows = [f"| [`{option.name}`](#{option.name}) | {_cell(option.text)} |" for option in found]
    return "\n".join(["| option | what it is |", "|---|---|", *rows, "", *(_entry(option, said) for option in found)])


def _entry(option: Option, said: dict[str, str]) -> str:
    """An option; of what a preset sets, and of keys that exp reads itself, another place may have told the meaning."""
    found = [key if key.meaning or not _is_ours(option, key) else _with(key, said) for key in option.keys]
    head = "set to" if option.group == "experiment" else "default"
    parts = [f"## {option.name}", "", _prose(option.text)]
    if option.brings:
        parts += ["", f"Chooses {' and '.join(f'`{word}`' for word in option.brings)} with it."]
    parts += ["", *_typed(option.commands), "", *_table(found, head)]
    if option.target and not option.target.startswith("exp."):
        parts += ["", f"`{option.target}`, in its own words: {_prose(option.summary)}."]
    if option.more:
        several = ", ".join(f"`{name}`" for name in option.more)
        parts += ["", f"Also taken, with a `+` in front (`+{option.group}.{option.more[0]}=VALUE`): {several}."]
    return "\n".join([*parts, ""])


def _typed(commands: list[str]) -> list[str]:
    return ["```bash", *commands, "```"]


def _is_ours(option: Option, key: Key) -> bool:
    return option.group == "experiment" or key.name.rpartition(".")[2] in READ_BY_EXP.get(option.group, ())


def _with(key: Key, said: dict[str, str]) -> Key:
    return replace(key, meaning=said.get(key.name, ""))


def _table(found: list[Key], head: str = "default") -> list[str]:
    if not found:
        return ["It has no keys."]
    rows = [f"| `{key.name}` | {_value(key)} | {_about(key)} |" for key in found]
    return [f"| key | {head} | what it is |", "|---|---|---|", *rows]


def _value(key: Key) -> str:
    return f"`{key.value}`" if key.value else "*yours to give*"


def _about(key: Key) -> str:
    """What a key means, and below it what it may be."""
    allowed = f'<span class="allowed">{_cell(key.allowed)}</span>' if key.allowed else ""
    return "<br>".join(part for part in (_cell(key.meaning), allowed) if part)


def _cell(text: str) -> str:
    return _prose(text).replace("|", r"\|")


def _prose(text: str) -> str:
    """Words that may look like Markdown; what one types stands out among them."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _TYPED.sub(r"`\1`", _escaped(part)) for part in parts)


# A key with a value, or a line for pip.
_TYPED = re.compile(r"""(pip install -e ".+?"|pip install '.+?'|(?<![\w.])(?:[a-z_]+[./])*[a-z_]+=[\w.,:]*\w)""")


def _escaped(text: str) -> str:
    return re.sub(r"(?<!\w)[*_]|[*_](?!\w)", r"\\\g<0>", html.escape(text, quote=False))


def _of_config() -> list[Key]:
    """What config.yaml holds beside the groups."""
    chosen = {*groups(), "defaults"}
    text = (CONF / "config.yaml").read_text("utf-8")
    return [key for key in keys(text, "", "", None) if key.name.partition(".")[0] not in chosen]


def _knobs() -> str:
    every = _of_config()
    ours = [key for key in every if not key.name.startswith(("sweep.", "hydra."))]
    of_sweep = [key for key in every if key.name.startswith("sweep.")]
    of_hydra = [key for key in every if key.name.startswith("hydra.") and key.meaning]
    _, commands = opening((CONF / "config.yaml").read_text("utf-8"))
    parts = ["## Of a run", "", *_table(ours), "", "## Of a sweep", "", *_table(of_sweep), ""]
    parts += ["## Of Hydra", "", *_table(of_hydra), ""]
    for group in ("launcher", "sweeper"):
        for name, schema in sorted(_plugins(group).items()):
            parts += [
                f"### {group} {name}",
                "",
                f"`hydra/{group}={name}`: {_prose(_said(schema))}",
                "",
                *_hydras(group, schema),
                "",
            ]
    parts += ["## To type", "", *_typed([command for command, _ in commands])]
    return "\n".join(parts)


def _plugins(group: str) -> dict[str, type]:
    """What exp itself adds to Hydra's launchers or sweepers: each one's name and schema."""
    stored = ConfigStore.instance().repo["hydra"][group]
    schemas = {one.__name__: one for one in vars(exp_plugins).values() if isinstance(one, type)}
    found = {name.removesuffix(".yaml"): node for name, node in stored.items() if node.provider == "exp"}
    return {name: schemas[node.node._metadata.object_type.__name__] for name, node in found.items()}


def _said(schema: type) -> str:
    """What a schema's source says of it, or of one that it inherits from, or else of what its `_target_` names."""
    docs = (one.__doc__ or "" for one in schema.__mro__[:-1])
    target = next(str(field.default) for field in fields(schema) if field.name == "_target_")
    of_target = vars(exp_plugins)[target.rpartition(".")[2]].__doc__.partition(": ")[2].partition(";")[0]
    # A dataclass without words of its own has its signature there.
    return " ".join(next((doc for doc in docs if not re.match(r"\w+\(", doc)), of_target).split())


def _hydras(group: str, schema: type) -> list[str]:
    found = fields_of(schema)
    return _table([Key(f"hydra.{group}.{key.name}", key.value, key.allowed, key.meaning) for key in found])
