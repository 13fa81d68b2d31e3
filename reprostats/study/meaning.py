"""What code means, apart from how it is written: the content of a function or class as JSON.

Two pieces of source have one meaning here if Python reads the same syntax tree from them, whatever
their comments, blank lines, line breaks, quotes and docstrings are. All else counts: decorators,
default values, annotations (the fields of a dataclass are nothing else), the names of local
variables, the order of statements.
"""

from __future__ import annotations

import ast
import inspect
import types

_LAMBDA = "<lambda>"


def meaning(thing: types.FunctionType | type) -> object:
    """Return the syntax tree of a function or class as JSON; of a function without source bytecode.

    Source cannot be read where Python keeps none: of what ``exec`` made, or of a class in a
    notebook cell before Python 3.13. Of such a class nothing is returned; its methods are
    functions. A lambda that shares its statement with another one is told by its bytecode too.

    Examples
    --------
    >>> def scaled(x):
    ...     return 2 * x  # twice
    >>> meaning(scaled)[0][0], "twice" in str(meaning(scaled))
    ('FunctionDef', False)
    """
    read = _read_source(thing)
    if read is None:
        return _bytecode(thing.__code__) if isinstance(thing, types.FunctionType) else None
    return read


def _read_source(thing: types.FunctionType | type) -> object:
    """Return the syntax tree as JSON, None where there is no source that can be read alone."""
    try:
        source = inspect.getsource(thing)
        # Indented source is put below a statement instead of being dedented: that would change
        # text which runs over several lines.
        indented = source[:1].isspace()
        (statement, *rest) = ast.parse(f"if True:\n{source}" if indented else source).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return None
    statements = statement.body if indented and isinstance(statement, ast.If) else [statement]
    if getattr(thing, "__name__", "") != _LAMBDA:
        return _as_json([*statements, *rest])
    # The statement around a lambda, such as the call that it is an argument of, is not its code.
    every = (node for each in statements for node in ast.walk(each))
    lambdas = [node for node in every if isinstance(node, ast.Lambda)]
    return _as_json(lambdas) if len(lambdas) == 1 else None


def _as_json(node: object) -> object:
    """Return a part of a syntax tree as JSON.

    `ast.dump` would do the same, but what it writes differs between versions of Python: fields
    that are empty are left out here, because each version has some that others do not know.
    """
    if isinstance(node, list):
        return [_as_json(each) for each in node if not _does_nothing(each)]
    if isinstance(node, ast.Constant):
        return ["Constant", _constant(node.value)]
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
        return [type(node).__name__, {name: _as_json(value) for name, value in fields}]
    return node


def _does_nothing(node: object) -> bool:
    """Tell whether a statement is a docstring, another bare constant, or ``pass``."""
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant or isinstance(node, ast.Pass)


def _bytecode(code: types.CodeType) -> list[object]:
    constants = [
        _bytecode(each) if isinstance(each, types.CodeType) else _constant(each)
        for each in code.co_consts
    ]
    return [code.co_code.hex(), list(code.co_names), constants]


def _constant(value: object) -> str:
    return repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)
