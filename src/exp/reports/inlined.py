"""The source of exp's own classes, for a script that does not import exp."""

import ast
import importlib
import inspect
from collections.abc import Iterable


def inline(modules: Iterable[str]) -> tuple[list[str], str]:
    """Return the imports and the source of modules of exp, after that of the modules of exp that they import.

    Docstrings of modules and comments between their definitions are left out; of other docstrings, all but the first
    line.
    """
    imports, definitions = dict[str, None](), dict[str, str]()
    for name in modules:
        _add(name, imports, definitions)
    return list(imports), "\n\n\n".join(text for text in definitions.values() if text)


def _add(name: str, imports: dict[str, None], definitions: dict[str, str]) -> None:
    if name in definitions:
        return
    source = _shorten_docstrings(inspect.getsource(importlib.import_module(name)))
    lines, parts = source.splitlines(), list[str]()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("exp."):
            _add(str(node.module), imports, definitions)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports[ast.unparse(node)] = None
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            decorators = node.decorator_list if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            parts.append("\n".join(lines[first - 1 : node.end_lineno]))
    definitions[name] = "\n\n\n".join(parts)


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
