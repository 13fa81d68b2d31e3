"""Which code and which values a function reaches, so that an edited model is trained again.

Starting from the trial function, every function and class that is reached by name counts with
what its source means, its defaults, the values it closes over and the global values it names;
containers are followed element by element. Comments, blank lines, formatting and docstrings do
not count; renamed local variables and annotations do (`reprostats.study.meaning`). Code counts if
it lies in the package or script of the trial function, or anywhere outside Python's own library
and the installed packages. Of other code its name counts, not its version: that stands in the
record of the environment.

Names that are computed while the function runs (``getattr`` with a made-up name) are not seen.
"""

from __future__ import annotations

import dis
import functools
import importlib
import importlib.util
import inspect
import pickle
import sys
import sysconfig
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path

from reprostats.errors import InputError
from reprostats.records.checksum import canonical_json, digest
from reprostats.study.command import Command
from reprostats.study.meaning import meaning

_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
_INSTALLED = {"site-packages", "dist-packages"}
_NAMED = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ModuleType,
)
_PLAIN = (types.NoneType, bool, int, float, complex, str, bytes, Path)
_CONTAINERS = (list, tuple, dict, set, frozenset)
_CALLED = (
    types.FunctionType,
    staticmethod,
    classmethod,
    property,
    functools.cached_property,
    functools.partial,
)


def function_name(function: Callable[..., object]) -> str:
    """Return the name under which a trial function is recorded: ``module:qualified.name``.

    That of a command is the command.

    Raises
    ------
    InputError
        If it is not a plain function.
    """
    if isinstance(function, Command):
        return function.name
    if not isinstance(function, types.FunctionType):
        raise InputError(
            f"the trial function must be a plain function, not {type(function).__name__}; "
            f"{_instead_of(function)}"
        )
    _check_arguments(function)
    return f"{function.__module__}:{function.__qualname__}"


def _check_arguments(function: types.FunctionType) -> None:
    """Refuse a function that cannot be called with a trial, before anything is trained."""
    signature = inspect.signature(function)
    try:
        signature.bind("trial")
    except TypeError:
        raise InputError(
            f"the trial function must take one argument, the trial; {function.__qualname__} takes "
            f"{signature}. Pass what else it needs through config: it reads it from trial.config."
        ) from None


def _instead_of(function: object) -> str:
    """Say what to give in place of what is no plain function."""
    if isinstance(function, functools.partial):
        name = getattr(function.func, "__name__", "the function")
        return (
            f"give {name} itself, and the values that partial holds through config: it reads them "
            "from trial.config."
        )
    if isinstance(function, types.MethodType):
        return (
            f"write a function that makes its {type(function.__self__).__name__} from trial.config "
            f"and calls {function.__name__}."
        )
    return "pass what it needs through config."


def code_dependencies(function: Callable[..., object]) -> dict[str, str]:
    """Return a SHA-256 for each function, class and global value that a trial function reaches.

    The trial function is among them. The name of a value is ``value MODULE:NAME``, where MODULE is
    that of the functions which name it.

    Examples
    --------
    >>> def train(trial):
    ...     return {"accuracy": 0.9}
    >>> [name.partition(":")[2] for name in code_dependencies(train)]
    ['train']
    """
    if isinstance(function, Command):
        return function.dependencies()
    reached = _Reached(function.__module__.partition(".")[0])
    reached.describe(function, function.__qualname__)
    return {name: digest(content) for name, content in sorted(reached.found.items())}


class _Reached:
    """Descriptions of reached code by name: equal if and only if the code is."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.found: dict[str, object] = {}

    def describe(self, value: object, name: str) -> object:
        """Describe a value as JSON; of functions and classes, whose turn comes once, the name."""
        if isinstance(value, _PLAIN):
            return self._seen_from_the_code(value) if isinstance(value, Path) else repr(value)
        if isinstance(value, _CONTAINERS):
            return self._container(value, name)
        if isinstance(value, types.FunctionType | type):
            return self._code(value)
        if isinstance(value, _NAMED):
            return f"{type(value).__name__} {getattr(value, '__qualname__', value.__name__)}"
        parts = _parts(value)
        if parts is not None:
            return [self.describe(part, name) for part in parts]
        return self._object(value, name)

    def _seen_from_the_code(self, path: Path) -> str:
        """Return a path beside the code relative to it: another checkout is the same code."""
        for package in (self.package, __package__.partition(".")[0]):
            file = getattr(sys.modules.get(package), "__file__", None)
            if file is not None and path.is_relative_to(Path(file).resolve().parents[1]):
                return f"path {path.relative_to(Path(file).resolve().parents[1]).as_posix()}"
        return f"path {path}"

    def _container(self, value: object, name: str) -> object:
        if isinstance(value, dict):
            return [[self.describe(part, name) for part in pair] for pair in value.items()]
        if isinstance(value, list | tuple):
            return [self.describe(each, name) for each in value]
        return sorted(canonical_json(self.describe(each, name)) for each in value)  # type: ignore[attr-defined]

    def _object(self, value: object, name: str) -> object:
        try:
            content = _content(value)
        except Exception as error:  # whatever pickling somebody's object raises
            warnings.warn(
                f"the trial function reaches {name!r}, a {type(value).__name__} whose content "
                f"cannot be told ({error}): trials will not be run again when it changes. Make it "
                "inside the trial function, or from plain values in config.",
                stacklevel=2,
            )
            content = ""
        return [self._code(type(value)), content]

    def _code(self, thing: types.FunctionType | type) -> str:
        if getattr(thing, "hooked", False):  # PyTorch wraps an optimiser's step when one is made
            thing = getattr(thing, "__wrapped__", thing)
        key = f"{thing.__module__}:{thing.__qualname__}"
        if key not in self.found and self._is_own(thing.__module__):
            self.found[key] = ""  # it may reach itself
            if isinstance(thing, type):
                self.found[key] = self._class(thing)
            else:
                self.found[key] = self._function(thing)
        return key

    def _function(self, function: types.FunctionType) -> object:
        held = [function.__defaults__, function.__kwdefaults__, _closed_over(function)]
        return [
            meaning(function),
            [self._global(function, name, value) for name, value in self._globals(function)],
            self.describe(held, function.__qualname__),
            self.describe(getattr(function, "__wrapped__", None), function.__qualname__),
        ]

    def _global(self, function: types.FunctionType, name: str, value: object) -> object:
        """Describe code where it is named; a value has an entry of its own, so it can be named."""
        if isinstance(value, (types.FunctionType, type, *_NAMED)):
            return [name, self.describe(value, name)]
        key = f"value {function.__module__}:{name}"
        if key not in self.found:
            self.found[key] = ""  # it may reach itself
            self.found[key] = self.describe(value, name)
        return key

    def _class(self, kind: type) -> object:
        members = [
            [name, self.describe(member, f"{kind.__qualname__}.{name}")]
            for name, member in sorted(vars(kind).items())
            if isinstance(member, _CALLED)
            or (isinstance(member, _PLAIN + _CONTAINERS) and not name.startswith("__"))
        ]
        return [meaning(kind), self.describe(kind.__bases__, kind.__qualname__), members]

    def _globals(self, function: types.FunctionType) -> list[tuple[str, object]]:
        """Return the global values that a function names, those of its lazy imports too."""
        every = {name for code in _codes(function.__code__) for name in code.co_names}
        names = {name for name in every if not name.startswith("__")}
        found: dict[str, object] = {}
        for name in names & function.__globals__.keys():
            found |= self._members(name, function.__globals__[name], names)
        for module, members in _lazily_imported(function):
            if self._lies_outside_the_library(module):
                found |= self._members(module, _imported(module, members), names)
        return sorted(found.items(), key=lambda pair: pair[0])

    def _members(self, name: str, value: object, names: set[str]) -> dict[str, object]:
        """Return a value by name; of a module that counts, those of its members that are named."""
        if not isinstance(value, types.ModuleType) or not self._is_own(value.__name__):
            return {name: value}
        found: dict[str, object] = {}
        for member in names & vars(value).keys():
            inner = vars(value)[member]
            deeper = isinstance(inner, types.ModuleType) and inner.__name__.startswith(
                value.__name__ + "."
            )
            place = f"{name}.{member}"
            found |= self._members(place, inner, names) if deeper else {place: inner}
        return found

    def _is_own(self, module: str) -> bool:
        """Tell whether the code of a loaded module counts."""
        if module.partition(".")[0] in {self.package, "__main__"}:
            return True
        file = getattr(sys.modules.get(module), "__file__", None)
        return file is not None and _lies_outside_the_library(Path(file))

    def _lies_outside_the_library(self, module: str) -> bool:
        """Tell the same of a module that may not be loaded yet, without loading it."""
        top = module.partition(".")[0]
        if top == self.package:
            return True
        spec = PathFinder.find_spec(top)
        places = [spec.origin, *(spec.submodule_search_locations or [])] if spec else []
        files = [Path(place) for place in places if place and Path(place).exists()]
        return bool(files) and _lies_outside_the_library(files[0])


def _parts(value: object) -> list[object] | None:
    """Return what a wrapper of functions is made of; None if it is something else."""
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType | staticmethod | classmethod):
        return [value.__func__, getattr(value, "__self__", None)]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, functools.cached_property):
        return [value.func]
    wrapped = getattr(value, "__wrapped__", None)  # functools.lru_cache, torch.no_grad ...
    return [wrapped] if isinstance(wrapped, types.FunctionType) else None


def _content(value: object) -> object:
    """Return a hash of a value that is the same in every process, or raise what forbids one."""
    import joblib
    import numpy as np

    # Pickled tensors hold numbers of their own for each process.
    if "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor):
        tensor = value.detach().cpu().contiguous()
        bits = tensor.flatten().view(sys.modules["torch"].uint8).numpy()
        return [str(value.dtype), list(value.shape), joblib.hash(bits)]
    content = joblib.hash(value)
    if isinstance(value, np.ndarray):
        return content
    if joblib.hash(pickle.loads(pickle.dumps(value))) != content:  # noqa: S301 - it is our own
        raise ValueError("it is another one after it was saved and loaded")
    return content


def _lies_outside_the_library(file: Path) -> bool:
    place = file.resolve()
    return not place.is_relative_to(_LIBRARY) and not _INSTALLED & set(place.parts)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Return a code object and those of the functions and comprehensions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _closed_over(function: types.FunctionType) -> list[object]:
    values = []
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # not filled yet
            values.append(None)
    return values


def _imported(module: str, members: tuple[str, ...]) -> types.ModuleType | None:
    """Import a module, and those of the named members that are modules; None if it is not there."""
    try:
        loaded = importlib.import_module(module)
    except ImportError:
        return None
    for member in members:
        if not hasattr(loaded, member):
            with suppress(ImportError):
                importlib.import_module(f"{module}.{member}")
    return loaded


def _lazily_imported(function: types.FunctionType) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return modules that a function imports when it is called, with what it takes from them."""
    package = str(function.__globals__.get("__package__") or "")
    for code in _codes(function.__code__):
        steps = list(dis.get_instructions(code))
        for place, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                level = steps[place - 2].argval
                dots = "." * level if isinstance(level, int) else ""
                name = str(step.argval)
                full = importlib.util.resolve_name(dots + name, package) if dots else name
                yield full, tuple(steps[place - 1].argval or ())
