"""Handwritten digits: scikit-learn's, which come with the package, and MNIST, where it is there."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reprostats import paths
from reprostats.errors import DamagedFileError, NotAvailableError, unknown_name

_SIDE = 32  # LeNet-5's input
_TEST_SHARE = 5  # every fifth digit of a class is tested on

# SHA-256 of the uncompressed files: compressed ones differ between sources.
_MNIST_FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes, divided into a part to learn from and a part to test on.

    Parameters
    ----------
    images, test_images
        Shape (samples, 1, 32, 32), float32 from 0 to 1.
    labels, test_labels
        Shape (samples,), int64.
    """

    images: torch.Tensor
    labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


def load_digits() -> LabelledImages:
    """Load scikit-learn's 1,797 digits of 8 x 8 pixels, enlarged to 24 x 24 and padded to 32 x 32.

    Every fifth image of a class is a test image, so the division is the same everywhere.
    """
    pixels, target = _scikit_learns()
    images = np.kron(pixels / 16, np.ones((3, 3)))
    rank = np.zeros(len(target), dtype=int)
    for digit in range(10):
        (members,) = np.nonzero(target == digit)
        rank[members] = np.arange(len(members))
    test = rank % _TEST_SHARE == _TEST_SHARE - 1
    return LabelledImages(
        _as_images(images[~test]),
        torch.from_numpy(target[~test]),
        _as_images(images[test]),
        torch.from_numpy(target[test]),
    )


def _scikit_learns() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read the images, (1797, 8, 8) from 0 to 16, and their digits from scikit-learn's own file.

    ``sklearn.datasets.load_digits`` gives the same, but to import it loads pandas and SciPy's
    distributions, which takes each worker of a study longer than to read the digits.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise NotAvailableError("the digits come with scikit-learn: pip install scikit-learn.")
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


def load_mnist(folder: Path | None = None) -> LabelledImages:
    """Load the 70,000 digits of MNIST from its four idx files, compressed or not.

    Parameters
    ----------
    folder
        Where they lie; default: ``mnist`` in the data folder (see `reprostats.paths`).

    Raises
    ------
    NotAvailableError
        If a file is missing.
    DamagedFileError
        If a file is not MNIST's to the last bit.
    """
    folder = folder or paths.data("mnist")
    train_images, train_labels, test_images, test_labels = (
        _read_idx(folder, name) for name in _MNIST_FILES
    )
    return LabelledImages(
        _as_images(train_images / 255),
        torch.from_numpy(train_labels.astype(np.int64)),
        _as_images(test_images / 255),
        torch.from_numpy(test_labels.astype(np.int64)),
    )


DATASETS: dict[str, Callable[[], LabelledImages]] = {"digits": load_digits, "mnist": load_mnist}


def load(name: str) -> LabelledImages:
    """Load one of the digit data sets by name.

    Raises
    ------
    InputError
        If the name is unknown.

    Examples
    --------
    >>> load("digits").images.shape
    torch.Size([1442, 1, 32, 32])
    """
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name]()


def hold_out(
    labels: torch.Tensor, fraction: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Divide samples at random into two parts in which the classes have the same shares.

    Parameters
    ----------
    labels
        Class of every sample.
    fraction
        Share of each class that is held out, from 0 to below 1.
    generator
        What the choice is drawn from.

    Returns
    -------
    kept, held_out
        Indices in ascending order.

    Examples
    --------
    >>> labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    >>> kept, held_out = hold_out(labels, 0.25, torch.Generator().manual_seed(1))
    >>> sorted(labels[held_out].tolist())
    [0, 1]
    """
    held: list[torch.Tensor] = []
    for label in labels.unique():
        members = torch.nonzero(labels == label).flatten()
        order = torch.randperm(len(members), generator=generator)
        held.append(members[order[: round(fraction * len(members))]])
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.cat(held)] = True
    return torch.nonzero(~chosen).flatten(), torch.nonzero(chosen).flatten()


def _as_images(pixels: np.ndarray) -> torch.Tensor:
    """Pad square images with zeros to 32 x 32 and give them a channel."""
    margin = (_SIDE - pixels.shape[-1]) // 2
    images = torch.from_numpy(pixels.astype(np.float32))[:, None]
    return torch.nn.functional.pad(images, [margin] * 4)


def _read_idx(folder: Path, name: str) -> np.ndarray:
    """Read an idx file: a magic number whose last byte is the number of axes, sizes, bytes."""
    path = next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)
    if path is None:
        raise NotAvailableError(
            f"MNIST: {folder / name}.gz is missing. Put the four idx files of MNIST into one "
            "folder 'mnist' and name its parent in the environment variable REPROSTATS_DATA."
        )
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError) as error:
        raise DamagedFileError(f"{path}: cannot be decompressed ({error}). Get it again.") from None
    if hashlib.sha256(content).hexdigest() != _MNIST_FILES[name]:
        raise DamagedFileError(f"{path}: not the MNIST file of this name. Get it again.")
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
