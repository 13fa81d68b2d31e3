"""Where trials run: in worker processes of this machine, or wherever an executor takes them.

An executor is whatever has the method ``submit`` of `concurrent.futures.Executor`: a pool of
threads or processes, ``Client.get_executor()`` of Dask, an executor of loky or submitit. It runs
`reprostats.study.pool.execute`, a plain function whose arguments can be pickled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from reprostats.errors import InputError, NotAvailableError, ReprostatsError
from reprostats.progress import progress_bar
from reprostats.records.record import COMPLETED
from reprostats.study.plan import PlannedTrial
from reprostats.study.pool import BUSY, Task, WorkerError, close_workers, execute

if TYPE_CHECKING:
    from distributed import Client

_ANSWER_WITHIN = 10
_SECONDS_BETWEEN_LOOKS = 0.5
_MOST_AT_ONCE = 1000  # SLURM allows 1001 jobs in an array unless its administrator changes that


def _ignore(_identity: str, _status: str) -> None:
    """Take no notice of a trial that has ended."""


class Executor(Protocol):
    """What takes trials to run; `concurrent.futures.Executor` and many others fit."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Run a function, now or later; return a future, or another job with its methods."""
        ...


def default_workers(trials: Iterable[PlannedTrial]) -> int:
    """Return how many trials this machine can run at a time: by its cores, or one for each GPU."""
    from joblib import cpu_count

    levels = [trial.levels for trial in trials]
    threads = max(int(each["threads"]) for each in levels)
    gpus = {str(each.get("device", "cpu")) for each in levels} - {"cpu"}
    return max(1, len(gpus) or int(cpu_count()) // threads)


@dataclass(frozen=True)
class Running:
    """How trials are run; see `reprostats.Study.run`."""

    workers: int
    executor: Executor | str | None
    time_limit: float | None
    progress: bool

    def run(
        self, tasks: Sequence[Task], description: str, ended: Callable[[str, str], None] = _ignore
    ) -> None:
        """Run tasks until each has a record; see `run_tasks`."""
        run_tasks(
            tasks,
            workers=self.workers,
            executor=self.executor,
            progress=self.progress,
            description=description,
            ended=ended,
        )


def run_tasks(
    tasks: Sequence[Task],
    *,
    workers: int,
    executor: Executor | str | None = None,
    progress: bool = True,
    description: str = "",
    run: str | None = None,
    ended: Callable[[str, str], None] = _ignore,
) -> None:
    """Run tasks until each has a record.

    A trial that another process is computing is left for last, when its record may be there.

    Parameters
    ----------
    tasks
        What to run.
    workers
        Tasks at a time on this machine; an executor decides that for itself.
    executor
        What runs the tasks, instead of threads of this process that wait for worker processes: an
        executor, a Dask client, or the address of a Dask scheduler. Wherever the tasks run, the
        study's folder must be there under the same path.
    progress
        Show how many are done, failed and running, and when the last is expected to end.
    description
        What the progress bar is called.
    run
        Name under which worker processes are kept for the next call, until the caller ends them
        with `close_workers`; by default they end here.
    ended
        Called with the identity and the status of each trial as it ends. What it raises ends the
        run, and is raised.

    Raises
    ------
    InputError
        If the executor is none.
    NotAvailableError
        If no scheduler answers, the package ``distributed`` is missing, or the executor takes
        nothing any more.
    WorkerError
        If a task could not be run at all. What was recorded before stays.
    """
    if not tasks:
        return
    name = run or uuid4().hex
    with ExitStack() as stack:
        place = stack.enter_context(_opened(executor, workers, None if run else name))
        bar = stack.enter_context(closing(Progress(len(tasks), description, shown=progress)))
        left = [replace(task, run=name) for task in tasks]
        for wait in (False, True):
            busy = set()
            # Closed at once when something is raised here, so that no further task is begun.
            with closing(_completed(place.executor, left, wait)) as completed:
                for identity, status in completed:
                    if status == BUSY:
                        busy.add(identity)
                    else:
                        bar.update(status, place.workers())
                        ended(identity, status)
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
        self.failed = 0
        self._done = 0
        self._start = time.time()
        self._bar = progress_bar(self.total, self.description, "trial", shown=self.shown)

    def update(self, status: str, workers: int | None) -> None:
        """Count one more trial as done.

        Parameters
        ----------
        status
            How the trial ended.
        workers
            Trials at a time; None where nobody knows.
        """
        self._done += 1
        self.failed += status != COMPLETED
        self._bar.update(self.state(self._done, workers, time.time()))

    def state(self, done: int, workers: int | None, now: float) -> str:
        """Say what the bar shows beside the number of trials done.

        Examples
        --------
        >>> Progress(10, "", shown=False).state(8, 4, time.time()).split(", ")[:2]
        ['2 running', '0 failed']
        """
        left = self.total - done
        if not left:
            return f"{self.failed} failed"
        end = now + (now - self._start) / max(done, 1) * left
        when = time.strftime("%d %b %H:%M:%S", time.localtime(end))
        running = "" if workers is None else f"{min(workers, left)} running, "
        return f"{running}{self.failed} failed, end about {when}"

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


@dataclass(frozen=True)
class _Place:
    """An executor, and how many tasks it runs at a time: as it is now, None if not known."""

    executor: Executor
    workers: Callable[[], int | None]


def _opened(
    executor: Executor | str | None, workers: int, run: str | None
) -> AbstractContextManager[_Place]:
    """Choose how tasks are run; the context ends the worker processes of a run."""
    if executor is None:
        return _threads(workers, run)
    if isinstance(executor, str):
        return _cluster_at(executor, run)
    if hasattr(executor, "get_executor"):  # a client of Dask
        return _cluster(executor, run)
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise InputError(
            "executor must be an object with the method submit, such as a ThreadPoolExecutor, "
            "Client.get_executor() of Dask or an executor of submitit, or the address of a Dask "
            f"scheduler such as 'tcp://host:8786', not {executor!r}."
        )
    return _foreign(executor, run)


@contextmanager
def _threads(workers: int, run: str | None) -> Iterator[_Place]:
    """Run tasks in threads of this process, each of which waits for a worker process."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield _Place(pool, lambda: workers)
    finally:
        if run:  # first, because a thread that waits for a trial ends only when its worker does
            close_workers(run)
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _cluster(client: Any, run: str | None) -> Iterator[_Place]:
    """Run tasks on the workers of a Dask cluster, which may come and go meanwhile."""
    try:
        # Not pure: Dask would otherwise answer a task that it knows with the result it remembers.
        yield _Place(client.get_executor(pure=False), lambda: sum(client.ncores().values()))
    finally:
        if run:
            with suppress(OSError, TimeoutError):
                client.run(close_workers, run)


@contextmanager
def _foreign(executor: Executor, run: str | None) -> Iterator[_Place]:
    """Run tasks by an executor that somebody else made, and that stays open.

    Its processes cannot be told that the run is over; worker processes in them end when they have
    been idle for a while.
    """
    try:
        yield _Place(executor, lambda: getattr(executor, "_max_workers", None))
    finally:
        if run:
            close_workers(run)


@contextmanager
def _cluster_at(address: str, run: str | None) -> Iterator[_Place]:
    """Run tasks on the cluster of a Dask scheduler."""
    with _client(address) as client, _cluster(client, run) as place:
        yield place


def _client(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError:
        raise NotAvailableError(
            "a Dask cluster needs the package distributed: pip install distributed."
        ) from None
    try:
        return Client(address, timeout=_ANSWER_WITHIN, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise NotAvailableError(
            f"no Dask scheduler answers at {address!r} ({error}). An address looks like "
            "'tcp://host:8786'; 'dask scheduler' prints its own when it starts."
        ) from None


def _completed(
    executor: Executor, tasks: Sequence[Task], wait: bool
) -> Generator[tuple[str, str], None, None]:
    """Run tasks; return the identity and status of each as it ends.

    A task that the executor lost does not keep the others from running.
    """
    futures: list[Any] = []
    lost: list[str] = []
    try:
        _submit(executor, tasks, wait, futures)
        for future in _as_completed(futures):
            try:
                result = future.result()
            except (ReprostatsError, OSError):  # raised by `execute`: the next would end likewise
                raise
            except Exception as error:
                lost.append(f"{type(error).__name__}: {error}".rstrip(": "))
            else:
                yield result
    finally:
        for future in futures:
            if not future.done():
                future.cancel()
    if lost:
        raise WorkerError(
            f"{len(lost)} of {len(tasks)} trials have no record, because the executor lost them "
            "or the processes in which they ran; the others are recorded. Run the study again "
            f"for those that are missing. The first: {lost[0]}"
        )


def _submit(executor: Executor, tasks: Sequence[Task], wait: bool, futures: list[Any]) -> None:
    """Submit all tasks, and add the future of each to a list."""
    # Whatever is submitted inside submitit's `batch` becomes one array of SLURM jobs.
    together = getattr(executor, "batch", nullcontext)
    try:
        for start in range(0, len(tasks), _MOST_AT_ONCE):
            with together():
                # One by one: what was submitted before something is raised must be cancelled.
                for task in tasks[start : start + _MOST_AT_ONCE]:
                    futures.append(executor.submit(execute, task, wait))  # noqa: PERF401
    except RuntimeError as error:
        raise NotAvailableError(f"the executor takes no trials: {error}.") from error


def _as_completed(futures: Sequence[Any]) -> Iterator[Any]:
    """Return futures as they end; the jobs of submitit can only be looked at now and then."""
    if all(isinstance(future, Future) for future in futures):
        yield from as_completed(futures)
        return
    left = list(futures)
    while left:
        ended = [future for future in left if future.done()]
        left = [future for future in left if future not in ended]
        yield from ended
        if left and not ended:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
