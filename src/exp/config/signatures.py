"""What a target takes, read from its source without running it, for importing torch takes a second.

Says nothing (None) where the source does not tell: compiled code, `**kwargs`, names made at run time.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path

# Names that lead to names that lead to names: a chain longer than this is a circle.
_FARTHEST = 10


def parameters(target: str) -> list[str] | None:
    """The names that the function or class of that dotted name takes, `self` not among them."""
    module, _, name = target.rpartition(".")
    return _parameters_of(module, name, _FARTHEST)


def names(module: str) -> list[str] | None:
    """Every name at the top of that module, or None if there is no source of it to read."""
    found = _names(module, _FARTHEST)
    return sorted(found) if found is not None else None


def _parameters_of(module: str, name: str, steps: int) -> list[str] | None:
    where = (_names(module, _FARTHEST) or {}).get(name)
    if where is None or steps == 0:
        return None
    if isinstance(where, tuple):
        return _parameters_of(*where, steps - 1)
    if isinstance(where, ast.ClassDef):
        made_by = [
            node for node in where.body if isinstance(node, ast.FunctionDef) and node.name in ("__init__", "__new__")
        ]
        if made_by:
            written = _written(made_by[-1])
            return written and written[1:]
        bases = [base.id for base in where.bases if isinstance(base, ast.Name)]
        return _parameters_of(module, bases[0], steps - 1) if len(bases) == 1 else None
    return _written(where)


def _written(function: ast.FunctionDef) -> list[str] | None:
    every = function.args
    if every.kwarg is not None or every.vararg is not None:
        return None
    return [argument.arg for argument in (*every.posonlyargs, *every.args, *every.kwonlyargs)]


def _names(module: str, steps: int) -> dict[str, ast.FunctionDef | ast.ClassDef | tuple[str, str] | None] | None:
    """What stands under each name at the top of the module: its definition, or the module and name it comes from."""
    path = _source(module)
    tree = _parsed(path) if path is not None else None
    if path is None or tree is None or steps == 0:
        return None
    found: dict[str, ast.FunctionDef | ast.ClassDef | tuple[str, str] | None] = {}
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            source = ".".join(part for part in (above if node.level else "", node.module or "") if part)
            for alias in node.names:
                if alias.name == "*":
                    found |= {name: (source, name) for name in _names(source, steps - 1) or {}}
                else:
                    found[alias.asname or alias.name] = (source, alias.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id: None for target in node.targets if isinstance(target, ast.Name)}
    return found


def _source(module: str) -> Path | None:
    """The file of a module, found without importing it or any package around it."""
    root, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    for part in inner:
        around = path.parent if path.name == "__init__.py" else path
        path = next((file for file in (around / part / "__init__.py", around / f"{part}.py") if file.is_file()), None)
        if path is None:
            return None
    return path if path.suffix == ".py" else None


@cache
def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, SyntaxError, ValueError):  # importing it will tell
        return None
