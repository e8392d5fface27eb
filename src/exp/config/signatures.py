"""The arguments of a target, read from its source: importing torch takes a second.

A sweep checks every job with this before it starts a worker. None where the source does not tell: compiled code,
`**kwargs`, names made at run time.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import TypeAlias

# A longer chain of imported names is a circle.
_MAX_STEPS = 10


def parameters(target: str) -> list[str] | None:
    """Return the argument names of the function or class with that dotted name, without `self`."""
    module, _, name = target.rpartition(".")
    found = _parameters_of(module, name, _MAX_STEPS)
    return None if found is None else [*found]


def required_parameters(target: str) -> list[str]:
    """Return the argument names without a default, as far as the source tells."""
    module, _, name = target.rpartition(".")
    found = _parameters_of(module, name, _MAX_STEPS) or {}
    return [name for name, is_required in found.items() if is_required]


def module_names(module: str) -> list[str] | None:
    """Return every name at the top level of a module, or None if its source cannot be read."""
    found = _top_level(module, _MAX_STEPS)
    return sorted(found) if found is not None else None


def find_syntax_error(module: str) -> SyntaxError | None:
    """Return the error that the import of a module would raise for its source; None if there is none."""
    path = source_file(module)
    try:
        if path is not None:
            _parse_version(path, path.stat().st_mtime_ns)
    except SyntaxError as error:
        return error
    except (OSError, ValueError):
        pass
    return None


def read_assigned_attribute(target: str, attribute: str) -> object:
    """Return the constant that a module assigns to an attribute of its function `target`; None if there is none."""
    module, _, name = target.rpartition(".")
    for _ in range(_MAX_STEPS):
        path = source_file(module)
        tree = _parse(path) if path is not None else None
        for node in tree.body if tree is not None else ():
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for assigned in node.targets:
                    if ast.unparse(assigned) == f"{name}.{attribute}":
                        return node.value.value
        definition = (_top_level(module, _MAX_STEPS) or {}).get(name)
        if not isinstance(definition, tuple):
            break
        module, name = definition
    return None


def _parameters_of(module: str, name: str, steps: int) -> dict[str, bool] | None:
    """Return for each argument whether it has no default."""
    definition = (_top_level(module, _MAX_STEPS) or {}).get(name)
    if definition is None or steps == 0:
        return None
    if isinstance(definition, tuple):
        return _parameters_of(*definition, steps - 1)
    if isinstance(definition, ast.ClassDef):
        constructors = [
            node
            for node in definition.body
            if isinstance(node, ast.FunctionDef) and node.name in ("__init__", "__new__")
        ]
        if constructors:
            arguments = _argument_names(constructors[-1])
            return arguments and dict([*arguments.items()][1:])
        bases = [base.id for base in definition.bases if isinstance(base, ast.Name)]
        return _parameters_of(module, bases[0], steps - 1) if len(bases) == 1 else None
    return _argument_names(definition)


def _argument_names(function: ast.FunctionDef) -> dict[str, bool] | None:
    every = function.args
    if every.kwarg is not None or every.vararg is not None:
        return None
    positional = [*every.posonlyargs, *every.args]
    required = len(positional) - len(every.defaults)
    found = {argument.arg: place < required for place, argument in enumerate(positional)}
    by_name = zip(every.kwonlyargs, every.kw_defaults, strict=True)
    return found | {argument.arg: default is None for argument, default in by_name}


# What a name at the top level of a module is: a definition, the module and name it is imported from, or something else.
_Definition: TypeAlias = ast.FunctionDef | ast.ClassDef | tuple[str, str] | None


def _top_level(module: str, steps: int) -> dict[str, _Definition] | None:
    """Return the definition of each top-level name of a module, or the module and name it is imported from."""
    path = source_file(module)
    package = module if path is not None and path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        named, wholly_imported = _read_definitions(path, path.stat().st_mtime_ns, package) if path else ({}, [])
    except (OSError, SyntaxError, ValueError):  # its import will raise
        return None
    if path is None or steps == 0:
        return None
    of_others = {name: (other, name) for other in wholly_imported for name in _top_level(other, steps - 1) or {}}
    return of_others | named


@cache
def _read_definitions(path: Path, changed: int, package: str) -> tuple[dict[str, _Definition], list[str]]:
    """Return the definitions of a module of `package`, and the modules of which it imports all names."""
    found: dict[str, _Definition] = {}
    wholly_imported: list[str] = []
    for node in _parse_version(path, changed).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            source = ".".join(part for part in (above if node.level else "", node.module or "") if part)
            for alias in node.names:
                if alias.name == "*":
                    wholly_imported.append(source)
                else:
                    found[alias.asname or alias.name] = (source, alias.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id: None for target in node.targets if isinstance(target, ast.Name)}
    return found, wholly_imported


def source_file(module: str) -> Path | None:
    """Return the file of a module, without importing it or its packages."""
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


def _parse(path: Path) -> ast.Module | None:
    try:
        return _parse_version(path, path.stat().st_mtime_ns)
    except (OSError, SyntaxError, ValueError):  # its import will raise
        return None


@cache
def _parse_version(path: Path, changed: int) -> ast.Module:
    del changed  # a file that is edited is parsed again
    return ast.parse(path.read_text(encoding="utf-8", errors="replace"), str(path))
