"""Networks and steps of one backend of Keras beside PyTorch's, as JSON; started by the tests.

Keras reads its backend once, when it is imported, so each backend needs a process of its own.
"""

import json
import sys

import numpy as np
import torch
from torch.nn import functional

import reprostats.learning.adam
from reprostats.learning import keras_loop, loop
from reprostats.learning.adam import adam
from reprostats.learning.losses import one_minus_dice
from reprostats.models.keras_networks import keras_network, load_state, state_of
from reprostats.models.lenet import LeNet5
from reprostats.models.unet import UNet

SIDE = 32
NETWORKS = {
    "lenet": (LeNet5, functional.cross_entropy),
    "counting": (lambda: UNet(widths=(4, 8)), functional.binary_cross_entropy_with_logits),
    "marrone": (lambda: UNet(widths=(4, 8), normalisation="batch"), one_minus_dice),
}


def data(name, dtype, number=8):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(number, 1, SIDE, SIDE, generator=generator, dtype=torch.float64)
    if name == "lenet":
        return images.to(dtype), torch.randint(0, 10, (number,), generator=generator)
    masks = torch.rand(number, 1, SIDE, SIDE, generator=generator) > 0.5
    return images.to(dtype), masks.to(dtype)


def trained(name, dtype, formula, steps=1):
    """The losses and the weights of both libraries, after so many steps."""
    make, loss = NETWORKS[name]
    torch.manual_seed(0)
    model = make().to(dtype)
    images, targets = data(name, dtype)
    network = keras_network(model, tuple(images.shape[1:]), dtype)
    keras_loop.compile_network(
        network, loss=loss, learning_rate=1e-3, formula=formula, epsilon=1e-7
    )
    shared = {"batch_size": len(images) // steps, "epochs": 1}
    theirs = keras_loop.fit(
        network, images, targets, generator=torch.Generator().manual_seed(5), **shared
    )
    optimiser = adam(model.parameters(), 1e-3, formula=formula, epsilon=1e-7)
    ours = loop.fit(
        model, images, targets, loss=loss, optimiser=optimiser,
        generator=torch.Generator().manual_seed(5), **shared,
    )  # fmt: skip
    return (ours, theirs), (model.state_dict(), state_of(network))


def differences(name, dtype, formula):
    (ours, theirs), (expected, got) = trained(name, dtype, formula)
    far = {each: float((expected[each] - got[each]).abs().max()) for each in got}
    return {
        "first_loss": abs(float(ours[0, 0] - theirs[0, 0])) / abs(float(ours[0, 0])),
        "weights": max(value for each, value in far.items() if "running_var" not in each),
        "running_var": max(
            (value for each, value in far.items() if "running_var" in each), default=0
        ),
    }


def compute_float64_throughout(backend):
    """Lift what Keras 3 rounds to float32 although float64 was asked for, or round alike.

    On JAX and PyTorch it turns float64 into float32 wherever types are promoted; on TensorFlow it
    takes the betas of Adam for float32.
    """
    if backend != "tensorflow":
        from keras.src.backend.common import dtypes

        dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
        return
    exact = reprostats.learning.adam._alpha

    def rounded(group, step):
        betas = tuple(float(np.float32(beta)) for beta in group["betas"])
        return exact({**group, "betas": betas}, step)

    reprostats.learning.adam._alpha = rounded


def main():
    import keras

    backend = keras.backend.backend()
    answers = {"backend": backend, "float32": {}, "float64": {}}
    for name in NETWORKS:
        answers["float32"][name] = differences(name, torch.float32, "keras")
    compute_float64_throughout(backend)
    for name in NETWORKS:
        for formula in ("pytorch", "keras"):
            answers["float64"][f"{name}, {formula}"] = differences(name, torch.float64, formula)
    make = {"lenet": LeNet5, "unet": UNet, "batch": lambda: UNet(normalisation="batch")}
    if backend == "torch":  # the counts are the same on all; Keras's U-Net of full size takes time
        answers["parameters"] = {
            name: sum(
                int(np.prod(each.shape))
                for each in keras_network(factory(), (1, SIDE, SIDE)).trainable_variables
            )
            for name, factory in make.items()
        }
    network = keras_network(LeNet5(), (1, SIDE, SIDE))
    kernel = keras.initializers.GlorotUniform(seed=1)((5, 5, 60, 160))
    answers["largest_of_glorot"] = float(np.abs(keras.ops.convert_to_numpy(kernel)).max())
    step = keras.optimizers.Adam(1e-3, epsilon=1e-7)
    weight = keras.Variable(np.zeros(1, "float32"), dtype="float32")
    step.apply([keras.ops.convert_to_tensor(np.full(1, 1e-6, "float32"))], [weight])
    answers["first_step"] = -float(keras.ops.convert_to_numpy(weight.value)[0])
    wrong = LeNet5().state_dict()
    wrong["classifier.1.weight"] = wrong["classifier.1.weight"].T
    try:
        load_state(network, wrong)
    except ValueError as error:
        answers["wrong_layout"] = str(error)
    try:
        keras_loop.use_device("cuda")
    except ValueError as error:
        answers["no_gpu"] = str(error)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
