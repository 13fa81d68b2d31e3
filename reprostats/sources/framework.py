"""The framework that trains: PyTorch itself, or Keras 3 on TensorFlow, JAX or PyTorch."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from importlib.util import find_spec

from reprostats.errors import NotAvailableError
from reprostats.sources._base import Level, OneOf

_BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "keras-torch": "torch"}
_KERAS = "3"
_PACKAGES = {"tensorflow": "tensorflow-cpu"}  # where the package is not called as the module is
# Set for trials with Keras alone. KERAS_BACKEND does not tell them: it may stand in the shell for
# trial functions that use Keras by themselves, and those keep it.
_MARK = "TRIAL_FRAMEWORK"


class Framework(OneOf):
    """The framework in which a trial function builds and trains its network.

    PyTorch is in every installation; the other levels need Keras 3 and the backend of their name.
    The trial function asks for the level and builds its network accordingly (`trial.level`); the
    process is started with what Keras reads when it is imported.
    """

    name = "framework"
    kind = "choice"
    meaning = "framework that trains: PyTorch itself ('torch'), or Keras 3 on a backend"
    default = "torch"
    names = ("torch", *_BACKENDS)
    controlled = frozenset({_MARK})

    def check(self, level: object) -> None:
        """Accept PyTorch, and the backends that are installed beside Keras 3."""
        super().check(level)
        if level == self.default:
            return
        backend = _BACKENDS[str(level)]
        if missing := [name for name in ("keras", backend) if find_spec(name) is None]:
            packages = " ".join(_PACKAGES.get(name, name) for name in missing)
            raise self.not_available(
                level, f"it lacks {' and '.join(missing)}; pip install {packages}"
            )
        version = _version("keras")
        if version.partition(".")[0] != _KERAS:
            raise self.not_available(
                level, f"it has Keras {version}, not Keras {_KERAS}; pip install 'keras>={_KERAS}'"
            )

    def variables(self, level: Level) -> dict[str, str]:
        """Return the backend, which Keras reads when it is imported."""
        if level == self.default:
            return {}
        return {
            _MARK: str(level),
            "KERAS_BACKEND": _BACKENDS[str(level)],
            # Else TensorFlow writes about processors into the log of every study.
            "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        }

    def warm_up(self) -> None:
        """Import Keras, which takes seconds, once and not in every trial.

        TensorFlow and JAX start their threads with the first operation and not when they are
        imported. No operation may run before a process forks; none does.
        """
        if os.environ.get(_MARK):
            import keras  # noqa: F401

    def read_back(self) -> dict[str, Level]:
        """Return the level of the backend of Keras where Keras is loaded, else PyTorch."""
        keras = sys.modules.get("keras")
        if keras is None:
            return {self.name: self.default}
        backend = keras.backend.backend()
        return {self.name: {name: level for level, name in _BACKENDS.items()}.get(backend, backend)}

    def expected(self, level: Level) -> dict[str, Level]:
        """Return what must be loaded; a function of PyTorch may load Keras for itself."""
        return {} if level == self.default else {self.name: level}


def missing_frameworks() -> dict[str, str]:
    """Return the frameworks that this machine does not have, each with the reason.

    Examples
    --------
    >>> "torch" in missing_frameworks()
    False
    """
    source, reasons = Framework(), {}
    for level in source.names:
        try:
            source.check(level)
        except NotAvailableError as error:
            reasons[level] = str(error)
    return reasons


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"
