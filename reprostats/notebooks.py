"""Notebooks: checked parameters inside, headless execution outside."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from reprostats.addresses import load_jsonschema
from reprostats.errors import InputError, ReprostatsError, unknown_name
from reprostats.files import write_atomically
from reprostats.progress import is_progress_bar

Model = TypeVar("Model", bound=BaseModel)

_PLAIN = (bool, int, float, str, list, dict, tuple, types.NoneType)
_OF_JUPYTER = {"In", "Out", "PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH"}


_START_TIMEOUT_S = 300  # papermill's minute is short on a machine that is busy with trials

_SCRIPTS = (  # what pages would otherwise load from servers
    "require_js_url",
    "mathjax_url",
    "jquery_url",
    "mermaid_js_url",
    "mermaid_layout_elk_js_url",
)


class NotebookError(ReprostatsError):
    """A notebook could not be executed to its end.

    Parameters
    ----------
    text
        What is shown.
    name, message
        Name of the exception that a cell raised, and what it said.
    """

    def __init__(self, text: str, name: str, message: str) -> None:
        super().__init__(text)
        self.name = name
        self.message = message


def parameters(namespace: Mapping[str, object], model: type[Model]) -> Model:
    """Check the parameters of a notebook.

    papermill only warns when it is given a parameter that the notebook does not have; here that
    is an error, as is a value of the wrong type.

    Parameters
    ----------
    namespace
        ``globals()``, right after the cell of parameters.
    model
        The pydantic model whose fields the parameters are.

    Raises
    ------
    InputError
        If a name is not a field of the model, or a value is not what its field takes.

    Examples
    --------
    >>> class Two(BaseModel):
    ...     epochs: int = 1
    >>> parameters({"epochs": 3, "__name__": "__main__"}, Two).epochs
    3
    >>> parameters({"epoch": 3}, Two)
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: notebook: unknown parameter 'epoch'; did you mean 'epochs'?
        Known: epochs
    """
    given = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and name not in _OF_JUPYTER and isinstance(value, _PLAIN)
    }
    for name in given:
        if name not in model.model_fields:
            raise unknown_name("parameter", name, model.model_fields, where="notebook")
    return checked(given, model, where="notebook parameter")


def checked(values: Mapping[str, Any], model: type[Model], *, where: str) -> Model:
    """Build a pydantic model, with one line for each value that does not fit.

    Raises
    ------
    InputError
        If a value is not what its field takes.
    """
    try:
        return model(**values)
    except ValidationError as error:
        lines = [
            f"{where} {'.'.join(str(part) for part in mistake['loc'])!r} = {mistake['input']!r}: "
            f"{mistake['msg'][0].lower()}{mistake['msg'][1:]}."
            for mistake in error.errors()
        ]
        raise InputError("\n".join(lines)) from None


def execute(notebook: Path, values: Mapping[str, Any], folder: Path) -> list[Path]:
    """Execute a notebook headless and write it, executed, as ``.ipynb`` and ``.html``.

    Parameters
    ----------
    notebook
        The notebook.
    values
        Its parameters.
    folder
        Where the results go.

    Returns
    -------
    list of pathlib.Path
        The two files.

    Raises
    ------
    InputError
        If there is no such notebook, or it has no parameter of a given name.
    NotebookError
        If a cell raises; the message names the cell and says what it raised. The notebook is
        written up to that cell.
    """
    if not notebook.is_file():
        raise InputError(f"there is no notebook {notebook}.")
    load_jsonschema()  # before papermill does
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        known = papermill.inspect_notebook(str(notebook))
    except ValueError as error:
        raise InputError(f"{notebook}: {error} Open it in JupyterLab and save it.") from None
    for name in values:
        if name not in known:
            raise unknown_name("parameter", name, known, where=notebook.name)
    folder.mkdir(parents=True, exist_ok=True)
    executed = folder / notebook.name
    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            dict(values),
            kernel_name="python3",
            kernel_manager_class=_local_kernels(),
            start_timeout=_START_TIMEOUT_S,
        )
    except PapermillExecutionError as error:
        what = str(error.evalue).strip()
        raise NotebookError(
            f"{notebook.name}, cell {error.exec_count}: {error.ename}: {what}\n"
            f"Executed up to there: {executed}",
            error.ename,
            what,
        ) from None
    page = executed.with_suffix(".html")
    write_atomically(page, as_page(executed))
    return [executed, page]


def _local_kernels() -> type:
    """Return a manager whose kernels talk over sockets of this machine, not over TCP.

    Kernels that start at the same time may choose the same ports, and then wait for ever.
    """
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default

    class LocalKernelManager(AsyncKernelManager):
        transport = "ipc"

        @default("ip")
        def _start_of_socket_names(self) -> str:
            # By default all kernels of one working folder have one name, and so collide too. The
            # folder of temporary files is short: names of sockets may have 107 characters.
            return str(Path(gettempdir()) / f"reprostats-{uuid4().hex}")

    return LocalKernelManager


def as_page(notebook: Path) -> str:
    """Return an executed notebook as an HTML page that needs no network.

    Progress bars are left out, and whatever else was written to standard error.
    """
    load_jsonschema()
    import nbformat
    from nbconvert import HTMLExporter

    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if not is_progress_bar(out)]
    exporter = HTMLExporter(
        template_name="lab",
        **dict.fromkeys(_SCRIPTS, ""),
    )
    body, _ = exporter.from_notebook_node(content)
    return str(body)
