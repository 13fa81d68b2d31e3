"""A small training with all that has a state, for tests that interrupt it or divide it.

Started as a program it is one worker: ``python -m tests.learning.trainings OUTPUT [OPTIONS]``.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from reprostats.errors import ReprostatsError
from reprostats.learning import distributed
from reprostats.learning.checkpoint import Checkpoints, load_checkpoint
from reprostats.learning.checkpoint_files import newest_checkpoint
from reprostats.learning.fingerprint import optimiser_state
from reprostats.learning.lars import LARS
from reprostats.learning.loop import Callback, fit, steps_per_epoch
from reprostats.learning.schedules import Cosine
from reprostats.learning.strategies import SINGLE, DistributedWorkers, VirtualWorkers

SAMPLES, BATCH_SIZE, EPOCHS = 23, 4, 2
OPTIMISERS = {
    "adam": lambda weights: torch.optim.Adam(weights, 0.01, amsgrad=True),
    "momentum": lambda weights: torch.optim.SGD(weights, 0.01, momentum=0.9),
    "lars": lambda weights: LARS(weights, 0.5, weight_decay=1e-3),
}


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(4 * 6 * 6, 2),
    )


def images(number: int = SAMPLES) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(number, 1, 8, 8, generator=generator)
    return inputs, inputs.mean((1, 2, 3)).gt(0).long()


def train(
    optimiser="adam",
    *,
    strategy=SINGLE,
    callbacks=(),
    resume=None,
    samples=SAMPLES,
    epochs=EPOCHS,
    batch_size=BATCH_SIZE,
    build=network,
    schedule=None,
    dtype=torch.float32,
) -> dict[str, torch.Tensor]:
    """Train and give all that must be equal to the bit."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = build().to(dtype)
    inputs, targets = images(samples)
    choice = OPTIMISERS[optimiser](model.parameters())
    steps = steps_per_epoch(samples, batch_size, strategy.world_size)
    rates = schedule or (lambda each: Cosine(learning_rate=0.02).scheduler(each, steps, EPOCHS))
    augmentation = torch.Generator().manual_seed(4)
    order = torch.Generator().manual_seed(5)

    def augment(given, wanted):
        flip = torch.rand(len(given), 1, 1, 1, generator=augmentation) < 0.5
        return torch.where(flip, given.flip(-1), given), wanted

    losses = fit(
        model,
        inputs.to(dtype),
        targets,
        loss=nn.functional.cross_entropy,
        optimiser=choice,
        batch_size=batch_size,
        epochs=epochs,
        generator=order,
        augment=augment,
        schedule=rates(choice),
        strategy=strategy,
        callbacks=callbacks,
        generators={"augmentation": augmentation},
        resume=resume,
    )
    return {
        **{f"model.{name}": tensor.detach() for name, tensor in model.state_dict().items()},
        **{f"optimiser.{name}": tensor for name, tensor in optimiser_state(choice).items()},
        "rate": torch.tensor(choice.param_groups[0]["lr"], dtype=torch.float64),
        "losses": losses,
        "order": order.get_state(),
        "augmentation": augmentation.get_state(),
        "dropout": torch.get_rng_state(),
    }


class Report(Callback):
    """Says on the standard output which step is done."""

    def stepped(self, run):
        print(run.epoch, run.step, flush=True)


class Fault(Callback):
    """Lets this worker be killed, hang or fail after some steps."""

    def __init__(self, kind: str, at: int):
        self.kind, self.left = kind, at

    def stepped(self, _):
        self.left -= 1
        if self.left == 0 and self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.left == 0 and self.kind == "hang":
            time.sleep(600)
        if self.left == 0 and self.kind == "fail":
            raise ValueError("a mistake of its own")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--optimiser", default="adam")
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--virtual", type=int)
    parser.add_argument("--distributed", default="", help="ring, rank_order or default")
    parser.add_argument("--meet", default="env://")
    parser.add_argument("--rank", type=int, default=-1)
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--fault", default="", help="kind:rank:step")
    options = parser.parse_args()
    try:
        with_strategy(options)
    except ReprostatsError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def with_strategy(options: argparse.Namespace) -> None:
    if not options.distributed:
        run(options, VirtualWorkers(options.virtual) if options.virtual else SINGLE)
        return
    with distributed.start(
        timeout_s=options.timeout,
        init_method=options.meet,
        rank=options.rank,
        world_size=options.workers,
    ):
        given = None if options.distributed == "default" else options.distributed
        run(options, DistributedWorkers(given))


def run(options: argparse.Namespace, strategy) -> None:
    callbacks, resume = [], None
    if options.checkpoints:
        callbacks.append(Checkpoints(options.checkpoints, every_steps=1))
        if newest_checkpoint(options.checkpoints):
            resume = load_checkpoint(options.checkpoints)
    callbacks.append(Report())
    kind, rank, step = (options.fault or "none:-1:0").split(":")
    if int(rank) == strategy.rank:
        callbacks.append(Fault(kind, int(step)))
    result = train(options.optimiser, strategy=strategy, callbacks=callbacks, resume=resume)
    save_file(result, options.output / f"{strategy.rank}.safetensors")


if __name__ == "__main__":
    main()
