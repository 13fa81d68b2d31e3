"""Running tasks: in threads of this process, or on a Dask cluster; with progress shown."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from reprostats.errors import NotAvailableError
from reprostats.study.pool import BUSY, Task, WorkerError, close_workers, execute

if TYPE_CHECKING:
    from collections.abc import Generator

    from distributed import Client

_ANSWER_WITHIN = 10


def run_tasks(
    tasks: Sequence[Task],
    *,
    workers: int,
    scheduler: str | None = None,
    progress: bool = True,
    description: str = "",
    run: str | None = None,
) -> None:
    """Run tasks until each has a record.

    A trial that another process is computing is left for last, when its record may be there.

    Parameters
    ----------
    tasks
        What to run.
    workers
        Tasks at a time, on this machine.
    scheduler
        Address of a Dask scheduler; its workers run the tasks instead. They must see the
        study's folder under the same path.
    progress
        Show how many are done, failed and running, and when the last is expected to end.
    description
        What the progress bar is called.
    run
        Name under which worker processes are kept for the next call, until the caller ends them
        with `close_workers`; by default they end here.

    Raises
    ------
    NotAvailableError
        If no scheduler answers, or the package ``distributed`` is missing.
    WorkerError
        If a task could not be run at all. What was recorded before stays.
    """
    if not tasks:
        return
    name = run or uuid4().hex
    with ExitStack() as stack:
        place = stack.enter_context(_place(None if run else name, workers, scheduler))
        bar = stack.enter_context(closing(Progress(len(tasks), description, shown=progress)))
        left = [replace(task, run=name) for task in tasks]
        for wait in (False, True):
            busy = set()
            for identity, status in place.finished(left, wait):
                if status == BUSY:
                    busy.add(identity)
                else:
                    bar.update(status, place.workers)
            left = [task for task in left if task.trial.identity in busy]


@dataclass
class Progress:
    """A bar with the number of trials done, failed and running, and the expected end.

    Parameters
    ----------
    total
        Number of trials.
    description
        What the bar is called.
    shown
        Whether it is shown.
    """

    total: int
    description: str
    shown: bool

    def __post_init__(self) -> None:
        from tqdm import tqdm

        self.failed = 0
        self._done = 0
        self._start = time.time()
        self._bar = tqdm(
            total=self.total, desc=self.description, unit="trial", disable=not self.shown
        )

    def update(self, status: str, workers: int) -> None:
        """Count one more trial as done."""
        self._done += 1
        self.failed += status != "ok"
        self._bar.set_postfix_str(self.state(self._done, workers, time.time()), refresh=False)
        self._bar.update()

    def state(self, done: int, workers: int, now: float) -> str:
        """Say what the bar shows beside the number of trials done.

        Examples
        --------
        >>> Progress(10, "", shown=False).state(8, 4, time.time()).split(", ")[:2]
        ['2 running', '0 failed']
        """
        left = self.total - done
        end = now + (now - self._start) / max(done, 1) * left
        when = time.strftime("%d %b %H:%M:%S", time.localtime(end))
        return f"{min(workers, left)} running, {self.failed} failed, end about {when}"

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


@contextmanager
def _place(run: str | None, workers: int, scheduler: str | None) -> Iterator[_Threads | _Cluster]:
    """Give what runs tasks, and end the workers of a run unless they are to be kept."""
    if scheduler is None:
        try:
            yield _Threads(workers)
        finally:
            if run:
                close_workers(run)
        return
    with _client(scheduler) as client:
        try:
            yield _Cluster(client)
        finally:
            with suppress(OSError, TimeoutError):
                client.run(close_workers, run)


class _Threads:
    """Tasks run in threads of this process, each of which waits for a worker process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def finished(self, tasks: Sequence[Task], wait: bool) -> Iterator[tuple[str, str]]:
        """Run tasks; give the identity and status of each as it ends."""
        from joblib import Parallel, delayed

        parallel = Parallel(
            n_jobs=self.workers, prefer="threads", batch_size=1, return_as="generator_unordered"
        )
        results: Generator[tuple[str, str]] = parallel(
            delayed(execute)(task, wait) for task in tasks
        )
        yield from results


class _Cluster:
    """Tasks run on the workers of a Dask cluster, which may come and go meanwhile."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def workers(self) -> int:
        """Number of tasks that the cluster runs at a time, as it is now."""
        return sum(self._client.ncores().values())

    def finished(self, tasks: Sequence[Task], wait: bool) -> Iterator[tuple[str, str]]:
        """Run tasks; give the identity and status of each as it ends.

        A worker that dies costs the tasks that it was running; Dask gives them to another.
        """
        from distributed import CancelledError, KilledWorker, as_completed

        futures = self._client.map(execute, tasks, [wait] * len(tasks), pure=False)
        lost: list[str] = []
        try:
            for future in as_completed(futures, loop=self._client.loop):
                error = future.exception()
                if error is None:
                    yield future.result()
                elif isinstance(error, KilledWorker):
                    lost.append(str(error))
                else:
                    raise error
        except CancelledError:
            raise WorkerError(
                "the Dask scheduler went away; what is recorded stays. Run the study again."
            ) from None
        finally:
            with suppress(CancelledError, OSError):
                self._client.cancel(futures)
        if lost:
            raise WorkerError(
                f"{len(lost)} trials ended every worker that took them; the others are recorded. "
                f"The first: {lost[0]}"
            )


@contextmanager
def _client(scheduler: str) -> Iterator[Client]:
    try:
        from distributed import Client
    except ImportError:
        raise NotAvailableError(
            "a Dask cluster needs the package distributed: pip install 'reprostats[cluster]'."
        ) from None
    client: Any = None
    try:
        client = Client(scheduler, timeout=_ANSWER_WITHIN, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise NotAvailableError(
            f"no Dask scheduler answers at {scheduler!r} ({error}). An address looks like "
            "'tcp://host:8786'; 'dask scheduler' prints its own when it starts."
        ) from None
    with client:
        yield client
