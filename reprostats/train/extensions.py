"""Things by name or import path: those of this package, and a user's own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import linecache
import sys
import traceback
import typing
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.errors import PydanticUserError

from reprostats.errors import InputError, ReprostatsError
from reprostats.models.registry import NETWORKS

_INSTALLED = {"site-packages", "dist-packages"}

NAMES: dict[str, dict[str, str]] = {
    "task": {"segmentation": "reprostats.train.tasks:segmentation"},
    "data": {},
    "model": NETWORKS,
    "loss": {
        "one_minus_dice": "reprostats.learning.losses:one_minus_dice",
        "binary_cross_entropy": "torch.nn.functional:binary_cross_entropy_with_logits",
        "cross_entropy": "torch.nn.functional:cross_entropy",
    },
    "optimiser": {
        "adam": "torch.optim:Adam",
        "sgd": "torch.optim:SGD",
        "rmsprop": "torch.optim:RMSprop",
        "lars": "reprostats.learning.lars:LARS",
    },
    "schedule": {},
    "function": {},
    "strategy": {
        "single": "reprostats.learning.strategies:Single",
        "virtual": "reprostats.learning.strategies:VirtualWorkers",
        "distributed": "reprostats.learning.strategies:DistributedWorkers",
    },
    "callback": {"stop_when_diverging": "reprostats.learning.watching:StopWhenDiverging"},
}


class ExtensionError(InputError):
    """A name or an import path gives nothing that can be used.

    Parameters
    ----------
    problem, remedy
        What is wrong; what would be right.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem}; {remedy}")


def is_import_path(name: str) -> bool:
    """Tell an import path, ``package.module:Name`` or ``path/to/file.py:Name``, from a name.

    Examples
    --------
    >>> is_import_path("own.py:Net"), is_import_path("unet")
    (True, False)
    """
    return ":" in name


def find(kind: str, name: str, folder: Path) -> Any:
    """Return what a name or an import path of a configuration means.

    Parameters
    ----------
    kind
        What it is for, such as ``"model"``; see `NAMES`.
    name
        A name in `NAMES`, or an import path.
    folder
        From which relative files are meant, and where modules are looked for too.

    Raises
    ------
    ExtensionError
        If there is no such name, file or module, importing it raises, or what it gives cannot be
        called.

    Examples
    --------
    >>> find("model", "unet", Path())
    <class 'reprostats.models.unet.UNet'>
    >>> find("model", "unit", Path())
    Traceback (most recent call last):
        ...
    reprostats.train.extensions.ExtensionError: there is no model 'unit'; did you mean 'unet'?
        Otherwise give an import path: package.module:Name or path/to/file.py:Name
    """
    path = name if is_import_path(name) else _import_path(kind, name)
    where, _, attribute = path.rpartition(":")
    module = _file(folder / where) if where.endswith(".py") else _module(where, folder)
    found = getattr(module, attribute, None)
    if found is None:
        public = [each for each in vars(module) if not each.startswith("_")]
        raise ExtensionError(f"{where} has no {attribute!r}", _nearest(attribute, public))
    if not callable(found):
        raise ExtensionError(f"{path} is {found!r}", "name a class or a function")
    return found


def absolute(name: str, folder: Path) -> str:
    """Return an import path of a file so that it holds from any folder; others as they are."""
    where, _, attribute = name.rpartition(":")
    return f"{(folder / where).resolve()}:{attribute}" if where.endswith(".py") else name


def file_of(name: str) -> Path | None:
    """Return the file that an import path names; None if it names a module or is a mere name."""
    where = name.rpartition(":")[0]
    return Path(where) if where.endswith(".py") else None


def parameters_model(found: Callable[..., Any], given: Collection[str | int]) -> type[BaseModel]:
    """Make a type that holds the parameters of a class or function to its signature.

    Parameters
    ----------
    found
        The class or function. Where it says of which type a parameter is, so does the model.
    given
        Parameters that do not stand in a configuration: names, and numbers of positions.

    Examples
    --------
    >>> def turned(images, degrees: float, *, smooth: bool = False): ...
    >>> sorted(parameters_model(turned, [0]).model_fields)
    ['degrees', 'smooth']
    """
    signature = _signature(found)
    open_ended = any(each.kind is each.VAR_KEYWORD for each in signature.values())
    hints = _hints(found)
    fields = {
        name: (hints.get(name, Any), ... if each.default is each.empty else each.default)
        for number, (name, each) in enumerate(signature.items())
        if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}
        and not {number, name} & set(given)
        and not name.startswith(("_", "model_"))
    }
    try:
        return _model(fields, open_ended=open_ended)
    except (PydanticUserError, TypeError, NameError):  # a type that pydantic cannot check
        return _model(
            {name: (Any, each[1]) for name, each in fields.items()}, open_ended=open_ended
        )


def checked_parameters(
    found: Callable[..., Any], parameters: Mapping[str, Any], given: Collection[str | int] = ()
) -> dict[str, Any]:
    """Return parameters with the types that a class or function asks for.

    Raises
    ------
    pydantic.ValidationError
        If they do not fit.
    """
    model = parameters_model(found, given).model_validate_json(json.dumps(parameters), strict=True)
    values = {name: getattr(model, name) for name in model.model_fields_set}
    return values | (model.model_extra or {})


def takes(found: Callable[..., Any], name: str) -> bool:
    """Tell whether a class or function has a parameter of this name."""
    return name in _signature(found)


def called(what: str, found: Callable[..., Any], *values: Any, **parameters: Any) -> Any:
    """Call a class or function of a configuration; say where it failed if it raises.

    Raises
    ------
    ExtensionError
        If it raises something that is no message of this package.
    """
    with named(what):
        return found(*values, **parameters)


@contextmanager
def named(what: str, *, own_only: bool = False) -> Iterator[None]:
    """Say where something failed if it raises.

    Parameters
    ----------
    what
        What was being done.
    own_only
        Whether only what passed through a user's own code is named; all else is raised as it is.

    Raises
    ------
    ExtensionError
        In place of anything that is no message of this package.
    """
    try:
        yield
    except ReprostatsError:
        raise
    except Exception as error:
        if own_only and not _own_frames(error):
            raise
        raise ExtensionError(f"{what} {raised(error)}", "correct it") from error


def raised(error: BaseException) -> str:
    """Say what was raised, and on which line of the user's own code.

    Examples
    --------
    >>> try:
    ...     len(5)
    ... except TypeError as error:
    ...     print(raised(error).partition(" on line ")[0])
    raised TypeError: object of type 'int' has no len()
    """
    if isinstance(error, SyntaxError) and error.filename:
        line = (error.text or "").strip()
        return (
            f"is not valid Python: {error.msg} on line {error.lineno} of {error.filename}: {line}"
        )
    own = _own_frames(error) or traceback.extract_tb(error.__traceback__)[-1:]
    text = f"raised {type(error).__name__}: {error}".rstrip(": ")
    if not own:
        return text
    last = own[-1]
    return f"{text} on line {last.lineno} of {last.filename}: {last.line}"


def _import_path(kind: str, name: str) -> str:
    known = NAMES[kind]
    if name not in known:
        otherwise = "give an import path: package.module:Name or path/to/file.py:Name"
        remedy = f"{_nearest(name, known)} Otherwise {otherwise}" if known else otherwise
        raise ExtensionError(f"there is no {kind} {name!r}", remedy)
    return known[name]


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}."


def _file(path: Path) -> ModuleType:
    """Import a file; once, as long as it stays as it is."""
    try:
        content = path.read_bytes()
    except OSError:
        there = [each.name for each in sorted(path.parent.glob("*.py"))]
        raise ExtensionError(f"there is no file {path}", _nearest(path.name, there)) from None
    name = f"{path.stem}_{hashlib.sha256(str(path).encode() + content).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    linecache.checkcache(str(path))
    _look_in(path.parent)
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise ExtensionError(f"{path} is no file of Python", "name one that ends in .py")
    sys.modules[name] = module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ExtensionError(f"{path.name} {raised(error)}", "correct it") from error
    return module


def _module(name: str, folder: Path) -> ModuleType:
    _look_in(folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ExtensionError(f"{name} {raised(error)}", "correct it") from error
        remedy = f"install it, or put it beside the configuration, in {folder}"
        raise ExtensionError(f"there is no module {error.name!r}", remedy) from None
    except (ValueError, TypeError):
        raise ExtensionError(f"{name!r} is no name of a module", "write package.module") from None
    except Exception as error:
        raise ExtensionError(f"{name} {raised(error)}", "correct it") from error


def _look_in(folder: Path) -> None:
    """Let a user's files import those beside them, as Python does for scripts."""
    if (entry := str(folder.resolve())) not in sys.path:
        sys.path.append(entry)


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    frames = traceback.extract_tb(error.__traceback__)
    return [each for each in frames if _is_own(each.filename)]


def _is_own(filename: str) -> bool:
    """Tell a user's own file from those of Python and of installed packages."""
    parts = set(Path(filename).parts)
    here = str(Path(__file__).parent.parent)
    return not (
        filename.startswith(("<frozen", here, sys.base_prefix + "/lib")) or parts & _INSTALLED
    )


def _signature(found: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(found).parameters
    except ValueError:  # some built-in functions have none: anything goes
        return {"any": inspect.Parameter("any", inspect.Parameter.VAR_KEYWORD)}


def _hints(found: Callable[..., Any]) -> dict[str, Any]:
    """Return the types that parameters are said to have, as far as they are known."""
    function = found.__init__ if inspect.isclass(found) else found
    try:
        return typing.get_type_hints(function)
    except Exception:  # names that exist for type checkers alone
        return {}


def _model(fields: Mapping[str, Any], *, open_ended: bool) -> type[BaseModel]:
    config = ConfigDict(
        extra="allow" if open_ended else "forbid", arbitrary_types_allowed=True, frozen=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a parameter may be called as a method of pydantic is
        return create_model("Parameters", __config__=config, **fields)
