"""Transfer learning: weights of one training as the start of another, frozen or fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from reprostats.errors import InputError, unknown_name

Part = Literal["encoder", "all"]

_PARTS = ("encoder", "all")
_MOST_NAMED = 8


def transfer(
    model: nn.Module,
    state: Mapping[str, torch.Tensor],
    *,
    part: Part = "encoder",
    frozen: bool = False,
) -> list[str]:
    """Start a network from the weights of another.

    The encoder of a network is what its attribute ``encoder_prefixes`` names, a tuple of names of
    modules; without this attribute it is the module ``down``, as in `UNet` and `FCN`.

    Frozen weights are no longer trained (``requires_grad`` is False), and the layers that hold
    them stay in evaluation mode while the network trains, so that batch normalisation neither
    uses the statistics of a batch nor changes its own. Make the optimiser, and wrap the network
    for data parallelism, after this.

    Parameters
    ----------
    model
        Takes the weights; it is not changed if they do not fit.
    state
        For instance what `reprostats.models.store.load` gives. Weights of other parts than the
        chosen one are left out.
    part
        ``"encoder"`` or ``"all"``.
    frozen
        Whether the weights stay as they are (frozen) or are trained further (fine-tuned).

    Returns
    -------
    list of str
        The names that were loaded, of weights and of the statistics of batch normalisation.

    Raises
    ------
    InputError
        If the part is unknown, the network has no encoder, or names or shapes do not fit; those
        that do not are listed.

    Examples
    --------
    >>> from reprostats.models.unet import UNet
    >>> trained, model = UNet(widths=(2, 4)), UNet(widths=(2, 4), out_channels=3)
    >>> transfer(model, trained.state_dict(), frozen=True)[:2]
    ['down.0.0.weight', 'down.0.0.bias']
    >>> model.down[0][0].weight.requires_grad, model.output.weight.requires_grad
    (False, True)
    """
    if part not in _PARTS:
        raise unknown_name("part", part, _PARTS)
    prefixes = _encoder_prefixes(model) if part == "encoder" else ("",)
    wanted, given = (_beginning(each, prefixes) for each in (model.state_dict(), state))
    check_fit(wanted, given, what="the weights to transfer")
    model.load_state_dict(given, strict=False)
    if frozen:
        for prefix in prefixes:
            freeze(model.get_submodule(prefix))
    return list(wanted)


def freeze(module: nn.Module) -> None:
    """Keep a module as it is while the network around it trains.

    Its parameters need no gradient, and its layers are put into evaluation mode whenever they are
    called, whatever ``model.train()`` says before.

    Examples
    --------
    >>> layer = nn.BatchNorm1d(1)
    >>> freeze(layer)
    >>> _ = layer.train()(torch.tensor([[1.0], [3.0]]))
    >>> layer.running_mean
    tensor([0.])
    """
    module.requires_grad_(requires_grad=False)
    for layer in module.modules():
        if not any(True for _ in layer.children()):
            layer.register_forward_pre_hook(_evaluate)


def check_fit(
    wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], *, what: str
) -> None:
    """Refuse weights whose names or shapes are not those of a network.

    Parameters
    ----------
    wanted, given
        Tensors by name: of the network, and to be loaded into it.
    what
        Begins the error.

    Raises
    ------
    InputError
        It lists the names that do not fit.

    Examples
    --------
    >>> one, two = nn.Linear(1, 2).state_dict(), nn.Linear(3, 2, bias=False).state_dict()
    >>> check_fit(one, two, what="the weights")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: the weights do not fit the network.
    Missing: bias.
    Of another shape: weight (2, 3) in place of (2, 1).
    """
    shapes = [
        f"{name} {tuple(given[name].shape)} in place of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    lists = {
        "Missing": [name for name in wanted if name not in given],
        "Not of the network": [name for name in given if name not in wanted],
        "Of another shape": shapes,
    }
    if any(lists.values()):
        lines = [f"{kind}: {_listed(names)}." for kind, names in lists.items() if names]
        raise InputError("\n".join([f"{what} do not fit the network.", *lines]))


def _evaluate(layer: nn.Module, _: object) -> None:
    """Leave training mode before a layer is called (a function that can be copied and pickled)."""
    layer.training = False


def _encoder_prefixes(model: nn.Module) -> tuple[str, ...]:
    prefixes: tuple[str, ...] = getattr(model, "encoder_prefixes", ("down",))
    known = {name for name, _ in model.named_modules()}
    if missing := [prefix for prefix in prefixes if prefix not in known]:
        raise InputError(
            f"{type(model).__name__} has no module {', '.join(missing)}, so no known encoder. Name "
            "its modules in the attribute encoder_prefixes, or transfer part='all'."
        )
    return prefixes


def _beginning(
    state: Mapping[str, torch.Tensor], prefixes: tuple[str, ...]
) -> dict[str, torch.Tensor]:
    """Choose what belongs to the named modules; all belongs to the one without a name."""
    starts = tuple(f"{prefix}." for prefix in prefixes if prefix)
    return {name: tensor for name, tensor in state.items() if not starts or name.startswith(starts)}


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
