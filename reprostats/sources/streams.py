"""Random streams: init, batch_order, augmentation, dropout and split, each with its own seed."""

from __future__ import annotations

from reprostats.seeds import seed_global_generators, seed_sequence
from reprostats.sources._base import Integer, Level

SEED_BITS = 63  # a seed fits a signed integer of 64 bits, in tables too


class Stream(Integer):
    """A random stream, from which the trial function draws by name.

    Parameters
    ----------
    name
        What the stream is called: ``trial.generator(NAME)``.
    meaning
        What is drawn from it.
    """

    kind = "stream"
    default = 0
    minimum = 0
    maximum = 2**SEED_BITS - 1
    word = "os"
    level_description = (
        f"an integer from 0 and below 2**{SEED_BITS}, or 'os' to draw one when a trial starts"
    )

    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.meaning = meaning


class GlobalStream(Stream):
    """The random stream that seeds the global generators before the trial function is called.

    PyTorch's layers draw from the global generator while they train, and take no other one.
    """

    def apply(self, level: Level) -> None:
        """Seed ``random``, ``numpy.random`` and PyTorch with the first numbers of the stream.

        Parameters
        ----------
        level
            The seed; where ``"os"`` was asked for, the one that was drawn.
        """
        seed_global_generators(seed_sequence(self.name, int(level)))
