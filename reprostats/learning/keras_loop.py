"""Training and prediction in Keras 3, sample by sample as `reprostats.learning.loop` does them.

Samples come and go as PyTorch's tensors with channels first. The order of the samples is drawn by
PyTorch's generator, so that all frameworks are given the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from reprostats.errors import DivergedError, InputError, NotAvailableError
from reprostats.learning.adam import NO_DECAY, Decay
from reprostats.learning.losses import one_minus_dice

if TYPE_CHECKING:
    import keras

Augment = Callable[[Any, Any], tuple[Any, Any]]


def compile_network(
    network: keras.Model,
    *,
    loss: Callable[..., torch.Tensor],
    learning_rate: float,
    formula: str = "keras",
    epsilon: float = 1e-7,
    decay: Decay = NO_DECAY,
) -> None:
    """Bind a network to a loss and to Adam.

    Parameters
    ----------
    network
        As `reprostats.models.keras_networks.keras_network` makes it.
    loss
        A loss of PyTorch, for which Keras's counterpart is taken: ``cross_entropy``,
        ``binary_cross_entropy_with_logits`` or `reprostats.learning.losses.one_minus_dice`.
    learning_rate
        Of Adam.
    formula, epsilon
        Of `reprostats.learning.adam.adam`; ``"keras"`` is Keras's own Adam.
    decay
        How weights are held small. It acts on gradients and is no part of the loss that is told.

    Raises
    ------
    InputError
        If the loss has no counterpart here.
    """
    import keras

    kind = keras.optimizers.Adam if formula == "keras" else _pytorch_adam()
    network.compile(
        optimizer=_decaying(kind, decay)(learning_rate, epsilon=epsilon),
        loss=_loss(loss),
        # The papers' TensorFlow compiled nothing. JAX always does.
        jit_compile=keras.backend.backend() == "jax",
    )


def fit(
    network: keras.Model,
    samples: torch.Tensor,
    targets: torch.Tensor,
    *,
    batch_size: int,
    epochs: int,
    generator: torch.Generator,
    augment: Augment | None = None,
    rates: Sequence[float] | None = None,
) -> torch.Tensor:
    """Train a network on samples in an order drawn anew for every epoch.

    Parameters
    ----------
    network
        As `compile_network` leaves it.
    samples, targets
        Of PyTorch; the first axis is that of the samples, the second, where there are four, that of
        the channels.
    batch_size, epochs, generator, augment
        As of `reprostats.learning.loop.fit`.
    rates
        The learning rate of every step, where it changes.

    Returns
    -------
    torch.Tensor
        The loss of every step, shape (epochs, steps).

    Raises
    ------
    DivergedError
        If a loss is not finite; it is raised at the epoch's end.
    """
    losses: list[list[float]] = []
    for epoch in range(epochs):
        order = torch.randperm(len(samples), generator=generator).to(samples.device)
        losses.append([])
        for batch in order.split(batch_size):
            if rates is not None:
                network.optimizer.learning_rate = rates[sum(map(len, losses))]
            given, wanted = samples[batch], targets[batch]
            if augment is not None:
                given, wanted = augment(given, wanted)
            loss = network.train_on_batch(_channels_last(given), _channels_last(wanted))
            losses[-1].append(float(loss))
        _check(losses[-1], epoch + 1, epochs)
    return torch.tensor(losses, dtype=samples.dtype)


def predict(network: keras.Model, samples: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Return the outputs for all samples, channels first, with layers in evaluation mode."""
    batches = [network.predict_on_batch(_channels_last(each)) for each in samples.split(batch_size)]
    outputs = torch.from_numpy(np.concatenate(batches))
    return outputs.movedim(-1, 1).contiguous() if outputs.ndim > 2 else outputs  # noqa: PLR2004


def optimiser_state(network: keras.Model) -> dict[str, torch.Tensor]:
    """Return what the optimiser keeps from step to step, by the names that Keras gives."""
    from keras import ops

    return {
        variable.path: torch.from_numpy(np.array(ops.convert_to_numpy(variable.value)))
        for variable in network.optimizer.variables
    }


def use_device(device: str) -> Any:
    """Return the context in which Keras computes on a device.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    NotAvailableError
        If the backend has no such GPU.
    """
    import keras

    number, backend = int(device.partition(":")[2] or 0), keras.backend.backend()
    if device == "cpu":
        # On PyTorch "cpu:0" is another device than "cpu", and copies of weights get no gradients.
        return keras.device("cpu" if backend == "torch" else "cpu:0")
    if number >= _gpus(backend):
        raise NotAvailableError(
            f"device {device!r} is not available: this build of {backend} finds "
            f"{_gpus(backend) or 'no'} GPU(s)."
        )
    return keras.device(f"{'cuda' if backend == 'torch' else 'gpu'}:{number}")


def use_deterministic_operations() -> None:
    """Let TensorFlow use deterministic operations; JAX and PyTorch have switches elsewhere."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _gpus(backend: str) -> int:
    """Count the GPUs that a backend finds."""
    if backend == "torch":
        return torch.cuda.device_count()
    import keras

    devices = keras.distribution.list_devices()
    return sum(not name.lower().startswith("cpu") for name in devices)


def _loss(loss: Callable[..., torch.Tensor]) -> Any:
    """Return Keras's counterpart of a loss, for outputs without activation."""
    import keras

    if loss is functional.cross_entropy:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if loss is functional.binary_cross_entropy_with_logits:
        return keras.losses.BinaryCrossentropy(from_logits=True)
    if loss is one_minus_dice:
        return _one_minus_dice
    raise InputError(f"the loss {loss.__name__} has no counterpart in Keras here.")


def _one_minus_dice(masks: Any, logits: Any) -> Any:
    """As `reprostats.learning.losses.one_minus_dice`, of all pixels of a batch together."""
    from keras import ops

    probabilities = ops.sigmoid(logits)
    both = ops.sum(probabilities * masks)
    return 1 - 2 * both / (ops.sum(probabilities) + ops.sum(masks))


def _pytorch_adam() -> type[keras.optimizers.Adam]:
    """Return Adam by PyTorch's formula, with Keras's arithmetic."""
    import keras
    from keras import ops

    class PyTorchAdam(keras.optimizers.Adam):  # type: ignore[misc]
        """See `reprostats.learning.adam`."""

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            place, kind = self._get_variable_index(variable), variable.dtype
            step = ops.cast(self.iterations + 1, kind)
            # 1 - beta^t, exact to the last digits of float32 too, as PyTorch has it in float64.
            logs = (ops.cast(np.log(beta), kind) for beta in (self.beta_1, self.beta_2))
            first, second = (-ops.expm1(step * log) for log in logs)
            mean, square = self._momentums[place], self._velocities[place]
            self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
            self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
            size = ops.cast(learning_rate, kind) / first
            self.assign_sub(
                variable, size * mean / (ops.sqrt(square) / ops.sqrt(second) + self.epsilon)
            )

    return PyTorchAdam


def _decaying(kind: type[keras.optimizers.Adam], decay: Decay) -> type[keras.optimizers.Adam]:
    """Return an optimiser that adds a share of the weights to their gradients."""
    if not decay.size:
        return kind

    class Decaying(kind):  # type: ignore[misc]
        """See `Decay`."""

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            share = decay.of_gradient(kernel=variable.name == "kernel")
            super().update_step(gradient + share * variable, variable, learning_rate)

    return Decaying


def _channels_last(values: torch.Tensor) -> np.ndarray:
    """Return samples as Keras takes them."""
    moved = values.movedim(1, -1) if values.ndim > 2 else values  # noqa: PLR2004
    return np.ascontiguousarray(moved.cpu().numpy())


def _check(losses: Sequence[float], epoch: int, epochs: int) -> None:
    bad = [step for step, loss in enumerate(losses) if not np.isfinite(loss)]
    if bad:
        raise DivergedError(
            f"the training loss is {losses[bad[0]]} in epoch {epoch} of {epochs}, "
            f"step {bad[0] + 1} of {len(losses)}."
        )
