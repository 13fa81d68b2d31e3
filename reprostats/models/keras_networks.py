"""The same networks in Keras 3: built from PyTorch's layer by layer, with the same weights.

Keras is optional: `pip install keras tensorflow-cpu jax`. Its backend (TensorFlow, JAX or PyTorch)
is chosen by the environment variable ``KERAS_BACKEND`` before it is imported; in a study the source
``framework`` sees to that.

Keras has channels last and PyTorch first, and the two hold kernels in different orders. Networks
made here take and give channels last; weights are exchanged in PyTorch's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from reprostats.errors import InputError
from reprostats.models.lenet import LeNet5
from reprostats.models.unet import UNet

if TYPE_CHECKING:
    import keras

_KERNEL_TO_KERAS = {4: (2, 3, 1, 0), 2: (1, 0)}  # by number of axes
_KERNEL_TO_PYTORCH = {4: (3, 2, 0, 1), 2: (1, 0)}
_NOT_IN_KERAS = ".num_batches_tracked"  # PyTorch's count of batches, which nothing here reads
_FLOATS = {torch.float32: "float32", torch.float64: "float64"}


def keras_network(
    model: nn.Module, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> keras.Model:
    """Build the counterpart of a network in Keras, with the same weights.

    Parameters
    ----------
    model
        `LeNet5`, a `UNet` of two dimensions, or `torch.nn.Sequential` of layers that those have.
    shape
        Of one image: (channels, height, width).
    dtype
        ``torch.float32`` or ``torch.float64``, of weights and arithmetic.

    Returns
    -------
    keras.Model
        Takes images of shape (batch, height, width, channels). The type becomes that of all that
        Keras makes in this process.

    Raises
    ------
    InputError
        If a layer has no counterpart here, or the type is another one.

    Examples
    --------
    >>> keras_network(LeNet5(), (1, 32, 32)).count_params()  # doctest: +SKIP
    61706
    """
    import keras

    if dtype not in _FLOATS:
        raise InputError(f"networks in Keras have float32 or float64 here, not {dtype}.")
    _use_type(dtype)
    channels, height, width = shape
    images = keras.Input((height, width, channels), dtype=_FLOATS[dtype])
    network = keras.Model(images, _applied(model, "", images))
    load_state(network, model.state_dict())
    return network


def load_state(network: keras.Model, state: Mapping[str, torch.Tensor]) -> None:
    """Give a network of Keras the weights of its counterpart in PyTorch.

    Parameters
    ----------
    network
        As `keras_network` makes it.
    state
        As ``state_dict()`` of a network of PyTorch gives it.

    Raises
    ------
    InputError
        If names or shapes are those of another network.
    """
    own = _variables(network)
    given = {name: each for name, each in state.items() if not name.endswith(_NOT_IN_KERAS)}
    if differing := sorted(own.keys() ^ given.keys()):
        raise InputError(f"weights of another network: {differing[0]!r} is in one of the two only.")
    for name, variable in own.items():
        value = _ordered(given[name].detach().cpu().numpy(), name, _KERNEL_TO_KERAS)
        if tuple(variable.shape) != value.shape:
            raise InputError(
                f"weights of another layout: {name!r} has shape {tuple(given[name].shape)}, which "
                f"Keras would hold as {value.shape}; the network has {tuple(variable.shape)}."
            )
        variable.assign(value)


def state_of(network: keras.Model) -> dict[str, torch.Tensor]:
    """Return the weights of a network of Keras as PyTorch names and orders them.

    Returns
    -------
    dict
        As ``state_dict()`` of the counterpart, without the count of batches that layers of batch
        normalisation keep in PyTorch.
    """
    from keras import ops

    return {
        name: torch.from_numpy(
            np.array(
                _ordered(ops.convert_to_numpy(variable.value), name, _KERNEL_TO_PYTORCH), order="C"
            )
        )
        for name, variable in _variables(network).items()
    }


def _variables(network: keras.Model) -> dict[str, Any]:
    """Return the variables of a network by their names in PyTorch."""
    roles = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
             "moving_mean": "running_mean", "moving_variance": "running_var"}  # fmt: skip
    return {
        f"{_pytorch_name(layer.name)}.{roles[variable.name]}": variable
        for layer in network.layers
        for variable in layer.weights
    }


def _ordered(value: np.ndarray, name: str, orders: Mapping[int, tuple[int, ...]]) -> np.ndarray:
    """Return a kernel with its axes in the other order; all else as it is."""
    if name.endswith(".weight") and value.ndim in orders:
        return value.transpose(orders[value.ndim])
    return value


def _use_type(dtype: torch.dtype) -> None:
    """Let Keras compute in a type: layers, and what has none of its own, such as a metric."""
    import keras

    keras.config.set_floatx(_FLOATS[dtype])
    keras.config.set_dtype_policy(_FLOATS[dtype])
    if dtype == torch.float64 and keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)


@singledispatch
def _applied(module: nn.Module, name: str, maps: Any) -> Any:  # noqa: ARG001
    """Apply the counterpart of a module, named as PyTorch names it, to symbolic maps."""
    raise InputError(f"{name or 'the network'}: {type(module).__name__} has no counterpart here.")


def _keras_name(name: str) -> str:
    """Return the name of a layer as Keras takes it: on PyTorch no layer may have a dot."""
    return name.replace(".", "-")


def _pytorch_name(name: str) -> str:
    return name.replace("-", ".")


def _inside(name: str, child: str) -> str:
    return f"{name}.{child}" if name else child


@_applied.register
def _(module: nn.Sequential, name: str, maps: Any) -> Any:
    for child, layer in module.named_children():
        maps = _applied(layer, _inside(name, child), maps)
    return maps


@_applied.register
def _(module: LeNet5, name: str, maps: Any) -> Any:
    features = _applied(module.features, _inside(name, "features"), maps)
    return _applied(module.classifier, _inside(name, "classifier"), features)


@_applied.register
def _(module: UNet, name: str, maps: Any) -> Any:
    from keras import layers

    passed = []
    for number, level in enumerate(module.down):
        if number:
            passed.append(maps)
            maps = _applied(module.pool, _inside(name, "pool"), maps)
        maps = _applied(level, _inside(name, f"down.{number}"), maps)
    for number, level in enumerate(module.up):
        place = _inside(name, f"up.{number}")
        enlarged = _applied(_module(level, "enlarge"), f"{place}.enlarge", maps)
        joined = layers.Concatenate()([passed.pop(), enlarged])
        maps = _applied(_module(level, "convolve"), f"{place}.convolve", joined)
    return _applied(module.output, _inside(name, "output"), maps)


@_applied.register
def _(module: nn.Conv2d, name: str, maps: Any) -> Any:
    from keras import layers

    same = tuple(side // 2 for side in module.kernel_size)
    paddings = {(0, 0): "valid", same: "same"}
    plain = module.stride == module.dilation == (1, 1) and module.padding_mode == "zeros"
    if module.padding not in paddings or not plain or module.groups != 1:
        raise InputError(f"{name}: {module} has no counterpart here.")
    return layers.Conv2D(
        module.out_channels,
        module.kernel_size,
        padding="valid" if module.padding == (0, 0) else "same",
        name=_keras_name(name),
        **_empty(module),
    )(maps)


@_applied.register
def _(module: nn.ConvTranspose2d, name: str, maps: Any) -> Any:
    from keras import layers

    if module.kernel_size != module.stride or module.padding != (0, 0) or module.groups != 1:
        raise InputError(f"{name}: {module} has no counterpart here.")
    return layers.Conv2DTranspose(
        module.out_channels,
        module.kernel_size,
        strides=module.stride,
        name=_keras_name(name),
        **_empty(module),
    )(maps)


@_applied.register
def _(module: nn.Linear, name: str, maps: Any) -> Any:
    from keras import layers

    return layers.Dense(module.out_features, name=_keras_name(name), **_empty(module))(maps)


@_applied.register
def _(module: nn.BatchNorm2d, name: str, maps: Any) -> Any:
    from keras import layers

    # The share of what was before: PyTorch's momentum is the share of what is new.
    kept = 1 - float(module.momentum or 0)
    return layers.BatchNormalization(momentum=kept, epsilon=module.eps, name=_keras_name(name))(
        maps
    )


@_applied.register
def _(module: nn.Flatten, name: str, maps: Any) -> Any:  # noqa: ARG001
    from keras import layers

    if maps.shape[1:3] != (1, 1):  # else both orders are one
        maps = layers.Permute((3, 1, 2))(maps)
    return layers.Flatten()(maps)


@_applied.register(nn.AvgPool2d)
@_applied.register(nn.MaxPool2d)
def _(module: nn.AvgPool2d | nn.MaxPool2d, name: str, maps: Any) -> Any:
    from keras import layers

    if module.stride != module.kernel_size or module.padding:
        raise InputError(f"{name}: {module} has no counterpart here.")
    kind = layers.MaxPooling2D if isinstance(module, nn.MaxPool2d) else layers.AveragePooling2D
    return kind(module.kernel_size)(maps)


@_applied.register
def _(module: nn.Identity, name: str, maps: Any) -> Any:  # noqa: ARG001
    return maps


@_applied.register
def _(module: nn.Tanh, name: str, maps: Any) -> Any:  # noqa: ARG001
    from keras import layers

    return layers.Activation("tanh")(maps)


@_applied.register
def _(module: nn.ReLU, name: str, maps: Any) -> Any:  # noqa: ARG001
    from keras import layers

    return layers.ReLU()(maps)


@_applied.register
def _(module: nn.LeakyReLU, name: str, maps: Any) -> Any:  # noqa: ARG001
    from keras import layers

    return layers.LeakyReLU(module.negative_slope)(maps)


def _module(parent: nn.Module, name: str) -> nn.Module:
    return dict(parent.named_children())[name]


def _empty(module: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> dict[str, Any]:
    """Let Keras draw no weights, which takes JAX seconds to compile; they are loaded afterwards."""
    return {"use_bias": module.bias is not None, "kernel_initializer": "zeros"}
