"""Starting a program and taking down what it writes, however much that is."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

FIRST_BYTES = LAST_BYTES = 2**20
"""How much of a log is kept at least, from its begin and from its end."""

_CHUNK = 2**16
_LONGEST_LINE = 2**16
_LOOK_SECONDS = 0.05
_SHOWN_LINES, _SHOWN_OF_LINE, _SHOWN_BYTES = 5, 200, 2000


class BoundedLog:
    """A file of which the first and the last part are kept, so that no output fills the disk.

    What is kept lies in the file at any moment, for a program that is killed.

    Parameters
    ----------
    path
        An existing file, which is emptied.
    first, last
        Bytes to keep. The file holds at most ``first + 2 * last``, a line and what is written at
        once.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "log.txt"
    >>> path.touch()
    >>> with BoundedLog(path, first=4, last=4) as log:
    ...     for letter in b"abcdefghijklmnop":
    ...         log.write(bytes([letter]))
    >>> print(path.read_text())
    abcd
    [5 bytes of the output are left out here]
    jklmnop
    """

    def __init__(self, path: Path, *, first: int = FIRST_BYTES, last: int = LAST_BYTES) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_TRUNC)
        self._first, self._last = first, last
        self._size = 0
        self._left_out = 0
        self._rest_begins = first  # behind the line that says how much is left out

    def __enter__(self) -> BoundedLog:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, data: bytes) -> None:
        """Add to the end, and leave out of the middle what is too much."""
        self._put(data, self._size)
        if self._size > self._rest_begins + 2 * self._last:
            self._shorten()

    def _shorten(self) -> None:
        begin = self._size - self._last
        last = os.pread(self._descriptor, self._last, begin)
        self._left_out += begin - self._rest_begins
        line = f"\n[{self._left_out} bytes of the output are left out here]\n".encode()
        self._rest_begins = self._first + len(line)
        self._put(line + last, self._first)
        os.ftruncate(self._descriptor, self._size)

    def _put(self, data: bytes, place: int) -> None:
        left = memoryview(data)
        while left:
            written = os.pwrite(self._descriptor, left, place)
            left, place = left[written:], place + written
        self._size = place


class Output:
    r"""What a program writes: it goes to a log, and a pattern is looked for, line by line.

    Parameters
    ----------
    log
        Takes all of it.
    pattern
        With named groups, or None. A carriage return ends a line too, as progress bars have it.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "log.txt"
    >>> path.touch()
    >>> with BoundedLog(path) as log:
    ...     output = Output(log, re.compile("dice: (?P<dice>[0-9.]+)"))
    ...     for part in (b"dice: 0.", b"8\ndice: 0.9", b"1\n"):
    ...         output.take(part)
    >>> output.matches(), output.last_lines()
    ({'dice': '0.91'}, '; its last lines: dice: 0.8 | dice: 0.91')
    """

    def __init__(self, log: BoundedLog, pattern: re.Pattern[str] | None) -> None:
        self._log = log
        self._pattern = pattern
        self._begun = b""
        self._end = b""
        self._found: dict[str, str] = {}

    def take(self, part: bytes) -> None:
        """Take the next part."""
        self._log.write(part)
        self._end = (self._end + part)[-_SHOWN_BYTES:]
        if self._pattern is None:
            return
        *lines, self._begun = re.split(rb"[\r\n]", self._begun + part)
        if len(self._begun) > _LONGEST_LINE:
            lines.append(self._begun)
            self._begun = b""
        for line in lines:
            self._match(self._pattern, line)

    def matches(self) -> dict[str, str]:
        """Return the last match of each named group of the pattern, at the end of the output."""
        if self._pattern is not None:
            self._match(self._pattern, self._begun)
        return self._found

    def last_lines(self) -> str:
        """Say what the last lines are."""
        lines = [line.strip() for line in self._end.decode(errors="replace").splitlines()]
        shown = [line[-_SHOWN_OF_LINE:] for line in lines if line][-_SHOWN_LINES:]
        return f"; its last lines: {' | '.join(shown)}" if shown else "; it wrote nothing"

    def _match(self, pattern: re.Pattern[str], line: bytes) -> None:
        for match in pattern.finditer(line.decode(errors="replace")):
            groups = match.groupdict().items()
            self._found |= {name: text for name, text in groups if text is not None}


def run_program(
    arguments: Sequence[str],
    folder: str,
    variables: Mapping[str, str],
    take: Callable[[bytes], None],
) -> int:
    """Start a program and wait for its end.

    Parameters
    ----------
    arguments
        Program and arguments; no shell reads them.
    folder
        In which it runs.
    variables
        Its environment.
    take
        Called with each part of what it writes to its output and its error output.

    Returns
    -------
    int
        Its exit status, minus the signal if one ended it.

    Raises
    ------
    OSError
        If it cannot be started.
    """
    with subprocess.Popen(
        arguments,
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as program:
        for part in _parts(program):
            take(part)
        return program.wait()


def _parts(program: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Return what a program writes, until it ends: what it has started may hold the pipe open."""
    output = program.stdout.fileno()  # type: ignore[union-attr]
    while program.poll() is None:
        if wait([output], _LOOK_SECONDS):
            if not (part := os.read(output, _CHUNK)):
                return
            yield part
    # The rest: no pipe holds more at a time.
    left = 2**20
    while left > 0 and wait([output], 0) and (part := os.read(output, _CHUNK)):
        left -= len(part)
        yield part
