"""Folders of images with masks, one file each, paired by name.

A folder holds ``images/NAME.png`` and ``masks/NAME.png`` (or ``labels/NAME.png``). PNG and TIFF
are read, of 1, 8 and 16 bits and of floating-point numbers. All that is wrong with a folder is told
at once, file by file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from reprostats.errors import InputError, NotAvailableError

SUFFIXES = (".png", ".tif", ".tiff")

_IMAGES = "images"
_MASKS = ("masks", "labels")
_LARGEST_LIST = 20
_COLOURS = {"RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA"}

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class PairedFiles:
    """An image and its mask on disk.

    Parameters
    ----------
    name
        Their name without suffix.
    image, mask
        The files.
    """

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class ImageWithMask:
    """An image and its mask in memory.

    Parameters
    ----------
    name
        Their name without suffix.
    image
        Shape (height, width), as stored.
    mask
        Shape (height, width), as stored; 0 is background.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray


def load_folder(folder: Path, *, empty: Literal["keep", "refuse"] = "keep") -> list[ImageWithMask]:
    """Read every image of a folder with its mask, in the order of their names.

    Parameters
    ----------
    folder
        Holds ``images`` and ``masks`` (or ``labels``).
    empty
        Whether a mask without a single pixel is kept or refused.

    Raises
    ------
    NotAvailableError
        If the folder, or one of its two folders, is missing.
    InputError
        If there is no image, an image lacks its mask or a mask its image, two files share a name,
        a file is none of `SUFFIXES` or cannot be read, a mask has another size than its image, or
        is empty and shall not be. All of these are listed, with the files.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> for kind in ("images", "masks"):
    ...     (folder / kind).mkdir()
    >>> Image.new("L", (6, 4), 7).save(folder / "images" / "a.png")
    >>> Image.new("1", (6, 4), 1).save(folder / "masks" / "a.png")
    >>> (sample,) = load_folder(folder)
    >>> sample.name, sample.image.shape, int(sample.image.max()), int(sample.mask.max())
    ('a', (4, 6), 7, 1)
    >>> Image.new("L", (6, 4)).save(folder / "images" / "b.png")
    >>> load_folder(folder)
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: .../b.png: has no mask; expected masks/b.png (or .tif, .tiff).
    """
    pairs = pair_files(folder)
    problems: list[str] = []
    samples = [_collected(problems, lambda pair=pair: _read_pair(pair, empty)) for pair in pairs]  # type: ignore[misc]
    _raise_all(folder, problems)
    return [sample for sample in samples if sample is not None]


def pair_files(folder: Path) -> list[PairedFiles]:
    """Pair the images and the masks of a folder by name, without reading them.

    Raises
    ------
    NotAvailableError, InputError
        As `load_folder` does, for what can be told from names.
    """
    masks_folder = _masks_folder(folder)
    problems: list[str] = []
    images = _files_by_name(_existing(folder / _IMAGES), problems)
    masks = _files_by_name(masks_folder, problems)
    problems += [
        f"{path}: has no mask; expected {_expected(masks_folder, name)}."
        for name, path in images.items()
        if name not in masks
    ]
    problems += [
        f"{path}: has no image; expected {_expected(folder / _IMAGES, name)}."
        for name, path in masks.items()
        if name not in images
    ]
    if not images and not problems:
        problems.append(f"{folder / _IMAGES}: holds no image ({', '.join(SUFFIXES)}).")
    _raise_all(folder, problems)
    return [PairedFiles(name, images[name], masks[name]) for name in sorted(images)]


def read_image(path: Path) -> np.ndarray:
    """Read an image as grey values, shape (height, width); colours become their luminance.

    The luminance is that of ITU-R 601, 0.299 R + 0.587 G + 0.114 B, rounded to 8 bits.

    Raises
    ------
    InputError
        If the file cannot be read as one image.
    """
    return _read(path, _grey)


def read_mask(path: Path) -> np.ndarray:
    """Read a mask, shape (height, width): 0 and 1 of 1 bit, or the values stored.

    Of an image with a palette, the values are the numbers of the entries. Of a mask in colours,
    black is 0 and the other colours are numbered from 1; transparency is not looked at.

    Raises
    ------
    InputError
        If the file cannot be read as one image.
    """
    return _read(path, _labels)


def _read_pair(pair: PairedFiles, empty: str) -> ImageWithMask:
    problems: list[str] = []
    image = _collected(problems, lambda: read_image(pair.image))
    mask = _collected(problems, lambda: read_mask(pair.mask))
    if image is not None and mask is not None:
        problems += _mismatches(pair, image, mask, empty)
    if problems or image is None or mask is None:
        raise InputError("\n".join(problems))
    return ImageWithMask(pair.name, image, mask)


def _mismatches(pair: PairedFiles, image: np.ndarray, mask: np.ndarray, empty: str) -> list[str]:
    if image.shape != mask.shape:
        sizes = " x ".join(map(str, mask.shape)), " x ".join(map(str, image.shape))
        return [f"{pair.mask}: a mask of {sizes[0]} pixels; its image has {sizes[1]}."]
    if empty == "refuse" and not mask.any():
        return [f"{pair.mask}: the mask is empty; every pixel of it is 0."]
    return []


def _read(path: Path, pixels_of: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            _check_single(path, opened)
            pixels = pixels_of(opened)
    # Pillow tells of broken files by any of these, depending on the format and the damage.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as an image ({_first_line(error)}).") from None
    return pixels.astype(np.uint8) if pixels.dtype == bool else pixels


def _check_single(path: Path, image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise InputError(f"{path}: holds {frames} images; need one in a file.")


def _grey(image: Image.Image) -> np.ndarray:
    coloured = image.mode in _COLOURS | {"P"}
    return np.array(image.convert("L") if coloured else image)


def _labels(image: Image.Image) -> np.ndarray:
    if image.mode not in _COLOURS:
        return np.array(image)
    red, green, blue = np.moveaxis(np.array(image.convert("RGB"), dtype=np.int64), -1, 0)
    colours = (red << 16) + (green << 8) + blue
    return np.asarray(np.searchsorted(np.union1d(colours, [0]), colours))


def _masks_folder(folder: Path) -> Path:
    found = [folder / name for name in _MASKS if (folder / name).is_dir()]
    if len(found) > 1:
        raise InputError(f"{folder}: has folders 'masks' and 'labels'; keep the one that is meant.")
    return found[0] if found else _existing(folder / _MASKS[0])


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise NotAvailableError(
            f"{folder}: there is no such folder. A data set is a folder with 'images' and with "
            "'masks' or 'labels', whose files have the same names."
        )
    return folder


def _files_by_name(folder: Path, problems: list[str]) -> dict[str, Path]:
    """Return the images of a folder by name; hidden files, which systems leave, are passed over."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix.lower() in SUFFIXES and path.is_file():
            found[path.stem].append(path)
        else:
            problems.append(f"{path}: not an image; only {', '.join(SUFFIXES)} belong here.")
    problems += [
        f"{', '.join(map(str, paths))}: one name, {len(paths)} files; keep one."
        for paths in found.values()
        if len(paths) > 1
    ]
    return {name: paths[0] for name, paths in found.items()}


def _expected(folder: Path, name: str) -> str:
    return f"{folder.name}/{name}{SUFFIXES[0]} (or {', '.join(SUFFIXES[1:])})"


def _collected(problems: list[str], read: Callable[[], _Result]) -> _Result | None:
    """Call a function; where it raises, keep the message instead, so that others are read too."""
    try:
        return read()
    except InputError as error:
        problems.append(str(error))
        return None


def _raise_all(folder: Path, problems: Iterable[str]) -> None:
    lines = "\n".join(problems).splitlines()
    if not lines:
        return
    if len(lines) == 1:
        raise InputError(lines[0])
    shown = lines[:_LARGEST_LIST]
    more = [f"... and {len(lines) - _LARGEST_LIST} more"] if len(lines) > _LARGEST_LIST else []
    raise InputError("\n  ".join([f"{folder}: {len(lines)} problems", *shown, *more]))


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
