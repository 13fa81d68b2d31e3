"""Files by their content: which ones are named, and whether they still are what they were."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from reprostats.errors import InputError
from reprostats.records.checksum import digest

_FILE = "file "  # before the name of a file, among what belongs to the identity of a trial
_MADE_BY_PYTHON = "__pycache__"  # written when a module is first loaded, so after the plan


class Content(NamedTuple):
    """What a file held at some time.

    Parameters
    ----------
    path
        Absolute.
    sha256
        Of its content.
    size, modified_ns
        As the file system gives them: where both are the same, the content is taken to be, too.
    """

    path: str
    sha256: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> Content:
        """Read a file."""
        state = path.stat()  # before it is read: a later change is then noticed
        return cls(str(path), sha256(path), state.st_size, state.st_mtime_ns)

    def is_unchanged(self) -> bool:
        """Tell whether the file holds the same now; it is only read where there is doubt."""
        path = Path(self.path)
        try:
            state = path.stat()
            if (state.st_size, state.st_mtime_ns) == (self.size, self.modified_ns):
                return True
            return _sha256_at(self.path, state.st_size, state.st_mtime_ns) == self.sha256
        except OSError:
            return False


def sha256(path: Path) -> str:
    """Return the SHA-256 of the content of a file.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "empty"
    >>> path.touch()
    >>> sha256(path)[:8]
    'e3b0c442'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _sha256_at(path: str, size: int, modified_ns: int) -> str:  # noqa: ARG001 - the key
    """Return the SHA-256 of a file that was touched: read once, not before each trial."""
    return sha256(Path(path))


def named_files(pattern: str, folder: Path) -> list[Path]:
    """Return the files that a path, a folder or a glob names, in the order of their names.

    Parameters
    ----------
    pattern
        ``**`` stands for any number of folders. Hidden files in folders do not count, nor does
        what Python compiles.
    folder
        Where relative paths begin.
    """
    place = folder / pattern
    if place.is_file():
        return [place]
    within = f"{glob.escape(pattern)}/**" if place.is_dir() else pattern
    found = (folder / name for name in glob.glob(within, root_dir=folder, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    return sorted(path for path in found if path.is_file() and _MADE_BY_PYTHON not in path.parts)


def files_with(scripts: Sequence[str], files: Sequence[Path | str]) -> list[str]:
    """Return what a command names and what a user names.

    Raises
    ------
    InputError
        If a user names no list.
    """
    if isinstance(files, str | Path):
        raise InputError(f"files must be a list, such as ['{files}'].")
    return [*scripts, *map(str, files)]


def contents(
    patterns: Sequence[Path | str], folder: Path, leave_out: Iterable[Path] = ()
) -> dict[str, Content]:
    """Read the files that patterns name, for the identity of trials.

    Parameters
    ----------
    patterns
        Paths, folders and globs.
    folder
        Where relative paths begin.
    leave_out
        Folders whose files do not count: those that trials write into.

    Returns
    -------
    dict
        By the path relative to the folder, so that another checkout is the same; by the absolute
        path where a file lies outside.

    Raises
    ------
    InputError
        If a pattern names no file, or one that cannot be read.
    """
    own = [each.resolve() for each in leave_out]
    found: dict[str, Content] = {}
    for pattern in files_with([], patterns):
        files = files_to_count(pattern, folder, own)
        found |= {_name(path, folder.resolve()): _read(path) for path in files}
    return dict(sorted(found.items()))


def file_hashes(files: Mapping[str, Content]) -> dict[str, str]:
    """Return files as parts of the identity of trials: the SHA-256 by ``"file "`` and the name."""
    return {f"{_FILE}{name}": each.sha256 for name, each in files.items()}


def split_files(identity: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the parts of an identity that are code, and those that are files by their names.

    Examples
    --------
    >>> split_files({"train:main": "9a", "file labels.txt": "4b"})
    ({'train:main': '9a'}, {'labels.txt': '4b'})
    """
    files = {name: each for name, each in identity.items() if name.startswith(_FILE)}
    code = {name: each for name, each in identity.items() if name not in files}
    return code, {name.removeprefix(_FILE): each for name, each in files.items()}


def files_to_count(pattern: str, folder: Path, leave_out: Iterable[Path] = ()) -> list[Path]:
    """Return the files that a pattern names, as `contents` reads them.

    Raises
    ------
    InputError
        If it names none.
    """
    named = [path.resolve() for path in named_files(pattern, folder)]
    files = [path for path in named if not any(path.is_relative_to(each) for each in leave_out)]
    if not files:
        raise InputError(f"files: {pattern!r} names no file in {folder}.")
    return files


def _name(path: Path, folder: Path) -> str:
    inside = path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if inside else path.as_posix()


def _read(path: Path) -> Content:
    try:
        return Content.of(path)
    except OSError as error:
        raise InputError(f"files: {path} cannot be read ({error.strerror}).") from None


def changed_files(planned: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """Name the files that no longer hold what they did when the study was planned.

    Parameters
    ----------
    planned
        `Content` by name, as JSON gives it back.
    """
    for name, content in planned.items():
        if not Content(*content).is_unchanged():  # type: ignore[arg-type]
            yield name


def fingerprint_of_files(pattern: str, folder: Path) -> str | None:
    """Return one SHA-256 for the files that a pattern names; None if there is no file.

    Of one file it is that of its content, as ``sha256sum`` gives it; of several it is made of
    their names and contents.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "weights.bin").write_bytes(b"")
    >>> fingerprint_of_files("*.bin", folder)[:8], fingerprint_of_files("*.pt", folder)
    ('e3b0c442', None)
    """
    files = named_files(pattern, folder)
    if len(files) == 1:
        return sha256(files[0])
    return digest({_name(path, folder): sha256(path) for path in files}) if files else None
