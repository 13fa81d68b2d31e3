"""A store of trained networks: weights and a card each, in a folder or behind a URL.

A store is a folder with one folder for each name and version::

    STORE/NAME/VERSION/card.yaml
    STORE/NAME/VERSION/weights.safetensors

Nothing in it is ever overwritten, so it can be copied or served as it is by any web server.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import nn

from reprostats import paths
from reprostats.errors import DamagedFileError, InputError, NotAvailableError
from reprostats.files import write_atomically
from reprostats.models.card import (
    NAME_PATTERN,
    Card,
    StoredCard,
    card_text,
    checked_card,
    read_card,
)
from reprostats.models.transfer import check_fit

State = dict[str, torch.Tensor]

CARD, WEIGHTS = "card.yaml", "weights.safetensors"


def publish(
    model: nn.Module | Mapping[str, torch.Tensor],
    card: Card | Mapping[str, Any],
    store: str | Path,
) -> Path:
    """Put a trained network and its card into a store.

    The card and the weights appear together or not at all. Publishing the same once more changes
    nothing.

    Parameters
    ----------
    model
        The network, or its ``state_dict()``.
    card
        What there is to say of it: a `Card`, or its fields.
    store
        The folder of the store; it is made if need be.

    Returns
    -------
    pathlib.Path
        The folder with the two files.

    Raises
    ------
    InputError
        If the card has mistakes or names another architecture than the network's, the state holds
        something other than tensors, or the store has this name and version with other content.

    Examples
    --------
    >>> card = {
    ...     "name": "line", "task": "regression", "data": "two points", "license": "CC0-1.0",
    ...     "architecture": {"name": "torch.nn:Linear", "parameters": {
    ...         "in_features": 1, "out_features": 1}},
    ...     "metrics": {"error": {"median": 0.1, "sd": 0.02, "repeats": 7}},
    ... }
    >>> model = nn.Linear(1, 1)
    >>> folder = publish(model, card, getfixture("tmp_path"))
    >>> sorted(path.name for path in folder.iterdir())
    ['card.yaml', 'weights.safetensors']
    >>> state, card = load("line", getfixture("tmp_path"))
    >>> torch.equal(state["weight"], model.weight), card.metrics["error"].sd
    (True, 0.02)
    """
    given = card if isinstance(card, Card) else checked_card(card, Card)
    if isinstance(model, nn.Module):
        check_architecture(model, given)
        model = model.state_dict()
    weights = safetensors.save(_plain(model))
    stored = _stored(given, weights)
    folder = _folder(Path(store), given.name, given.version)
    if not _appears(folder, {WEIGHTS: weights, CARD: card_text(stored).encode()}):
        _check_same(folder, stored)
    return folder


def load(
    name: str, store: str | Path, *, version: int = 1, sha256: str | None = None
) -> tuple[State, StoredCard]:
    """Read the weights and the card of a network from a store, and verify the weights.

    Parameters
    ----------
    name, version
        Of the network.
    store
        The folder of the store, or its URL. What comes from a URL is kept in the folder
        ``model_store`` of the data (see `reprostats.paths`) and is not downloaded again.
    sha256
        The checksum that the weights must have. The card's own is always checked; giving it here
        as well notices a store in which card and weights were both exchanged.

    Raises
    ------
    NotAvailableError
        If the store has no such name and version, or its server does not answer.
    DamagedFileError
        If the card cannot be read, is that of another network, or the weights do not have its
        checksum.
    InputError
        If the weights have another checksum than the given one.
    """
    if not re.fullmatch(NAME_PATTERN, name) or version < 1:
        raise InputError(f"no network of a store is called {name!r}, version {version!r}.")
    if str(store).startswith(("http://", "https://")):
        folder = _mirrored(str(store), name, version)
    else:
        folder = _found(Path(store), name, version)
    card = _read_card_of(folder, name, version)
    return _read_weights(folder / WEIGHTS, card, sha256), card


def restore(
    model: nn.Module,
    name: str,
    store: str | Path,
    *,
    version: int = 1,
    sha256: str | None = None,
) -> StoredCard:
    """Load the weights of a store into a network of the same architecture.

    Parameters
    ----------
    model
        Takes the weights; it is not changed if they do not fit.
    name, store, version, sha256
        As of `load`.

    Raises
    ------
    InputError
        If the card names another architecture, or names or shapes of the weights do not fit.
    """
    state, card = load(name, store, version=version, sha256=sha256)
    check_architecture(model, card)
    check_fit(model.state_dict(), state, what=f"{name}, version {version}")
    model.load_state_dict(state)
    return card


def check_architecture(model: nn.Module, card: Card) -> None:
    """Refuse a network of another class than the card's.

    A name without a module, or with a module that is not loaded, is compared with the name of the
    class alone. Nothing is imported: a card may come from anywhere.

    Raises
    ------
    InputError
        If it is of another class.
    """
    module, _, name = card.architecture.name.replace(":", ".").rpartition(".")
    kind = type(model)
    loaded = sys.modules.get(module)
    if getattr(loaded, name, None) is kind if loaded else name.lower() == kind.__name__.lower():
        return
    raise InputError(
        f"{card.name}, version {card.version}: the card's architecture is "
        f"{card.architecture.name!r}, but the network is {kind.__module__}:{kind.__qualname__}."
    )


def _plain(state: Mapping[str, object]) -> State:
    """Return tensors on the CPU of which none shares memory with another."""
    if strange := [name for name, value in state.items() if not isinstance(value, torch.Tensor)]:
        raise InputError(f"the state holds something other than tensors: {', '.join(strange)}.")
    if not state:
        raise InputError("the network has no weights.")
    return {
        name: value.detach().cpu().clone().contiguous()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def _stored(card: Card, weights: bytes) -> StoredCard:
    return StoredCard(
        **card.model_dump(include=set(Card.model_fields)),
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        reprostats=installed_version("reprostats"),
        torch=torch.__version__,
        created=datetime.now(UTC).date(),
    )


def _folder(store: Path, name: str, version: int) -> Path:
    return store / name / str(version)


def _appears(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Let a folder appear with its files in one step; False if it is there already."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        for name, content in files.items():
            write_atomically(made / name, content)
        made.chmod(0o755)
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        return False
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return True


def _check_same(folder: Path, wanted: StoredCard) -> None:
    """Refuse to publish what differs from the published."""
    compared = {*Card.model_fields, "weights_sha256"}
    there, here = (card.model_dump(include=compared) for card in (read_card(folder / CARD), wanted))
    if differing := [name for name in there if there[name] != here[name]]:
        raise InputError(
            f"{folder}: is published already, with other {', '.join(differing)}. What is "
            f"published stays as it is: publish as version {wanted.version + 1}."
        )


def _found(store: Path, name: str, version: int) -> Path:
    folder = _folder(store, name, version)
    if folder.is_dir():
        return folder
    if not store.is_dir():
        raise NotAvailableError(f"{store}: there is no such folder, so no store.")
    versions = sorted(each.name for each in (store / name).glob("[1-9]*"))
    names = sorted(each.name for each in store.iterdir() if each.is_dir())
    there = f"versions: {', '.join(versions)}" if versions else f"names: {', '.join(names) or '-'}"
    raise NotAvailableError(f"{store}: has no {name!r}, version {version}. It has {there}")


def _read_card_of(folder: Path, name: str, version: int) -> StoredCard:
    """Read a card and hold it to the place where it lies."""
    if not (folder / CARD).is_file():
        raise DamagedFileError(f"{folder}: has no {CARD}.")
    card = read_card(folder / CARD)
    if (card.name, card.version) != (name, version):
        raise DamagedFileError(
            f"{folder / CARD}: is the card of {card.name!r}, version {card.version}."
        )
    return card


def _read_weights(path: Path, card: StoredCard, wanted: str | None) -> State:
    if not path.is_file():
        raise DamagedFileError(f"{path}: is missing.")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != card.weights_sha256:
        raise DamagedFileError(
            f"{path}: has the SHA-256 {found}, but its card says {card.weights_sha256}. The file "
            "is damaged or was exchanged."
        )
    if wanted is not None and found != wanted.lower():
        raise InputError(f"{path}: has the SHA-256 {found}, but {wanted} was asked for.")
    try:
        return safetensors.load(content)
    except SafetensorError as error:
        raise DamagedFileError(f"{path}: is no safetensors file ({error}).") from None


def _mirrored(url: str, name: str, version: int) -> Path:
    """Download a card and its weights, unless they are here, and give their folder.

    Of a store nothing is ever overwritten, so what is here is what is there.
    """
    source = f"{url.rstrip('/')}/{name}/{version}"
    mirror = paths.data("model_store") / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    folder = _folder(mirror, name, version)
    card_file = _downloaded(f"{source}/{CARD}", folder, CARD)
    try:
        card = _read_card_of(folder, name, version)
    except DamagedFileError as error:
        card_file.unlink()
        raise DamagedFileError(f"{source}: {error}") from None
    _downloaded(f"{source}/{WEIGHTS}", folder, WEIGHTS, card.weights_sha256)
    return folder


def _downloaded(url: str, folder: Path, name: str, sha256: str | None = None) -> Path:
    """Download a file unless it is here with the right checksum."""
    import pooch

    try:
        return Path(
            pooch.retrieve(url, known_hash=sha256 and f"sha256:{sha256}", fname=name, path=folder)
        )
    except OSError as error:  # requests' own errors derive from it
        raise NotAvailableError(f"{url}: cannot be downloaded ({error}).") from None
    except ValueError:
        raise DamagedFileError(
            f"{url}: has not the SHA-256 that its card says ({sha256}). The file is damaged or "
            "was exchanged."
        ) from None
