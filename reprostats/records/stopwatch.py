"""When something started, and how long it has taken since."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Stopwatch:
    """Starts when it is made.

    Examples
    --------
    >>> stopwatch = Stopwatch()
    >>> stopwatch.seconds >= 0
    True
    """

    def __init__(self) -> None:
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        # The date may be set back while something runs; this clock never goes backwards.
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """The seconds since then."""
        return time.perf_counter() - self._start
