"""The source of exp's own classes, for a script that does not import exp."""

import ast
import importlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field


def inline(targets: Iterable[str]) -> tuple[list[str], str]:
    """Return the imports and the source of classes of exp, after the source of what they use of exp.

    Comments between definitions are left out; of docstrings, all but the first line.

    Args:
        targets: The classes, as `exp.models.tabm.TabM`.
    """
    found = _Found()
    for target in targets:
        module, _, name = target.rpartition(".")
        found.add(module, name)
    return list(found.imports), "\n\n\n".join(found.definitions.values())


@dataclass
class _Found:
    """Imports, and definitions by their module and name, in an order in which each uses only those before it."""

    imports: dict[str, None] = field(default_factory=dict[str, None])
    definitions: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def add(self, module: str, name: str) -> None:
        """Add a definition of a module, after the definitions that it uses."""
        if (module, name) in self.definitions:
            return
        source = _shorten_docstrings(inspect.getsource(importlib.import_module(module)))
        statements = {name: node for node in ast.parse(source).body for name in _names_bound_by(node)}
        node = statements[name]
        for used in dict.fromkeys(part.id for part in ast.walk(node) if isinstance(part, ast.Name)):
            statement = statements.get(used)
            if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith("exp."):
                self.add(str(statement.module), used)
            elif isinstance(statement, ast.Import | ast.ImportFrom):
                self.imports[ast.unparse(statement)] = None
            elif statement not in (None, node):
                self.add(module, used)
        decorators = node.decorator_list if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        self.definitions[module, name] = "\n".join(source.splitlines()[first - 1 : node.end_lineno])


def _names_bound_by(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def _shorten_docstrings(source: str) -> str:
    lines = source.splitlines()
    dropped: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            text = node.body[0]
            end = text.end_lineno or text.lineno
            if end > text.lineno:
                lines[text.lineno - 1] += '"""'
                dropped.update(range(text.lineno, end))
    return "\n".join(line for number, line in enumerate(lines) if number not in dropped)
