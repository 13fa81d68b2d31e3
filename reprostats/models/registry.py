"""The networks by name: one list for experiments, `reprostats train` and whoever else asks.

To add a network, write its class into a module of this folder and its name into `NETWORKS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from reprostats.errors import unknown_name

if TYPE_CHECKING:
    from torch import nn

# Import paths and not classes, so that reading the names does not load PyTorch.
NETWORKS: dict[str, str] = {
    "unet": "reprostats.models.unet:UNet",
    "fcn": "reprostats.models.fcn:FCN",
    "lenet": "reprostats.models.lenet:LeNet5",
    "qsmnet": "reprostats.models.qsmnet:QSMnet",
    "variational": "reprostats.models.variational:VariationalNetwork",
}
"""The import path of each network by its name."""


def network(name: str) -> type[nn.Module]:
    """Return the class of a network.

    Parameters
    ----------
    name
        One of `NETWORKS`.

    Raises
    ------
    InputError
        If there is no network of this name.

    Examples
    --------
    >>> network("unet")
    <class 'reprostats.models.unet.UNet'>
    >>> network("u-net")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: unknown network 'u-net'; did you mean 'unet'?
        Known: fcn, lenet, qsmnet, unet, variational
    """
    if name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS)
    module, _, class_name = NETWORKS[name].partition(":")
    network_class: type[nn.Module] = getattr(import_module(module), class_name)
    return network_class
