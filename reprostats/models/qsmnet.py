"""QSMnet, which maps susceptibility from the local field, and the versions of it that exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reprostats.errors import unknown_name
from reprostats.models.unet import Activation, Normalisation, Pooling, UNet


class QSMnet(UNet):
    """U-Net of three dimensions after Yoon et al. (2018), from local field to susceptibility.

    Parameters
    ----------
    widths
        Maps of each level from the top down to the bottom; by default those of the authors' code,
        with 99.5 million parameters.
    kernel_size
        Side of the convolutions' kernels in voxels, an odd number.
    activation
        ``"relu"``, or ``"leaky_relu"`` with a slope of 0.1 below 0.
    normalisation
        ``"batch"`` for batch normalisation before each activation, or ``"none"``.
    pooling, norm_momentum, norm_epsilon
        As of `UNet`. The authors' TensorFlow has other constants than PyTorch.

    Raises
    ------
    InputError
        As `UNet`.

    Examples
    --------
    >>> import torch
    >>> model = QSMnet(widths=(2, 4), kernel_size=3)
    >>> model(torch.zeros(1, 1, 8, 6, 4)).shape
    torch.Size([1, 1, 8, 6, 4])
    >>> model(torch.zeros(1, 1, 8, 6, 5))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: images of 8 x 6 x 5 voxels; a U-Net of 2 levels takes sides that
        are multiples of 2: pad the images, for instance to 8 x 6 x 6.

    References
    ----------
    Yoon et al.: Quantitative susceptibility mapping using deep neural network: QSMnet. NeuroImage
    179:199 (2018), doi:10.1016/j.neuroimage.2018.06.030. The authors' code is SNU-LIST/QSMnet on
    GitHub.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 256, 512),
        kernel_size: int = 5,
        activation: Activation = "relu",
        normalisation: Normalisation = "batch",
        *,
        pooling: Pooling = "deterministic",
        norm_momentum: float = 0.1,
        norm_epsilon: float = 1e-5,
    ) -> None:
        super().__init__(
            widths=widths,
            normalisation=normalisation,
            dimensions=3,
            kernel_size=kernel_size,
            activation=activation,
            pooling=pooling,
            norm_momentum=norm_momentum,
            norm_epsilon=norm_epsilon,
        )


@dataclass(frozen=True)
class QSMnetVersion:
    """How one public version of QSMnet is built and trained.

    All of them start at a learning rate of 1e-3 and weigh the gradient term with 0.1.

    Parameters
    ----------
    activation
        Of `QSMnet`.
    optimiser
        ``"rmsprop"`` or ``"adam"``.
    batch_size
        Patches of a step.
    model_weight
        Of the field term of `reprostats.mri.losses.QSMLoss`.
    """

    activation: Activation
    optimiser: str
    batch_size: int
    model_weight: float


QSMNET_VERSIONS = {
    "first_release": QSMnetVersion("relu", "rmsprop", 12, 5.0),
    "later_release": QSMnetVersion("leaky_relu", "adam", 5, 0.5),
    "pytorch_port": QSMnetVersion("relu", "rmsprop", 12, 1.0),
}


def qsmnet_version(name: str) -> QSMnetVersion:
    """Look up a version of `QSMNET_VERSIONS`.

    Raises
    ------
    InputError
        If there is none of that name.

    Examples
    --------
    >>> qsmnet_version("later_release").model_weight
    0.5
    """
    if name not in QSMNET_VERSIONS:
        raise unknown_name("version of QSMnet", name, QSMNET_VERSIONS)
    return QSMNET_VERSIONS[name]
