"""The process that keeps the workers of one training: torchrun, which also tells how they ended.

It is started by `reprostats.train.launch` as ``python -m reprostats.train.agent FOLDER WORKERS PORT
ARGUMENT ...`` with the arguments of ``reprostats``; the folder is that of the reports.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from reprostats.train.reports import Exit, end_with_parent, write_exits

ANY_PORT = "0"


def main(arguments: Sequence[str]) -> int:
    """Start the workers and wait for them; return 0 if all completed."""
    end_with_parent()
    folder, workers, port, *command = arguments
    options = ["--nproc-per-node", workers, "--max-restarts", "0", *_meeting(port)]
    try:
        run(parse_args([*options, "-m", "reprostats.cli", *command]))
    except ChildFailedError as error:
        write_exits(Path(folder), _exits(error))
        return 1
    return 0


def _meeting(port: str) -> list[str]:
    if port == ANY_PORT:
        return ["--standalone"]
    return ["--master-addr", "127.0.0.1", "--master-port", port]


def _exits(error: ChildFailedError) -> list[Exit]:
    failures = sorted(error.failures.items(), key=lambda each: each[1].timestamp)
    return [
        Exit(rank=rank, process=failure.pid, code=failure.exitcode) for rank, failure in failures
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
