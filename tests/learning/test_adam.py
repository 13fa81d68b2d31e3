"""Adam by both formulas: against each other, against NumPy, and against what Keras gave."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.learning.adam import Decay, KerasAdam, adam, decay_groups


def steps(optimiser, weight, gradients):
    for gradient in gradients:
        weight.grad = torch.full_like(weight, gradient)
        optimiser.step()
    return weight.item()


def parameter(value=1.0, dtype=torch.float64):
    return torch.nn.Parameter(torch.tensor([value], dtype=dtype))


def test_the_first_step_is_that_of_keras():
    """Keras 3.15.1 on TensorFlow, in float32: gradient 1e-6, rate 1e-3, epsilon 1e-7."""
    weight = parameter(0.0, torch.float32)
    assert steps(KerasAdam([weight], 1e-3), weight, [1e-6]) == pytest.approx(
        -2.4025145103223622e-4, rel=1e-6
    )


@given(st.lists(st.floats(-1, 1).filter(lambda each: abs(each) > 1e-6), min_size=1, max_size=5))
def test_keras_is_pytorch_with_an_epsilon_that_changes_from_step_to_step(gradients):
    """epsilon / sqrt(1 - beta_2^t), by the algebra of Kingma and Ba, end of section 2."""
    ours, theirs = parameter(), parameter()
    keras = KerasAdam([ours], 1e-3, eps=1e-4)
    pytorch = torch.optim.Adam([theirs], 1e-3)
    for number, gradient in enumerate(gradients, start=1):
        pytorch.param_groups[0]["eps"] = 1e-4 / np.sqrt(1 - 0.999**number)
        one = steps(keras, ours, [gradient])
        other = steps(pytorch, theirs, [gradient])
        assert one == pytest.approx(other, abs=1e-12)


def test_pytorch_s_formula_is_pytorch_s_own():
    ours, theirs = parameter(), parameter()
    one = steps(adam([ours], 0.1, epsilon=1e-3), ours, [0.3, -0.2])
    assert one == steps(torch.optim.Adam([theirs], 0.1, eps=1e-3), theirs, [0.3, -0.2])


@pytest.mark.parametrize("formula", ["pytorch", "keras"])
def test_decay_is_added_to_the_gradient(formula):
    decaying, plain = parameter(2.0), parameter(2.0)
    one = steps(adam([decaying], 0.1, formula=formula, weight_decay=0.5), decaying, [0.3])
    assert one == pytest.approx(steps(adam([plain], 0.1, formula=formula), plain, [1.3]), abs=1e-12)


def test_the_penalty_of_keras_is_that_of_a_loss_on_kernels():
    """The gradient of 0.1 times the sum of squares of the kernel, and nothing of the bias."""
    layer = torch.nn.Linear(3, 2)
    kernels, others = decay_groups(layer, Decay(0.1, "keras"))
    (0.1 * layer.weight.square().sum()).backward()
    torch.testing.assert_close(layer.weight.grad, kernels["weight_decay"] * layer.weight)
    assert others["weight_decay"] == 0
    assert len(kernels["params"]) == len(others["params"]) == 1
    assert len(decay_groups(layer, Decay(0.1))) == 1


def test_no_such_formula():
    with pytest.raises(InputError, match="unknown formula of Adam 'tensorflow'"):
        adam([parameter()], 0.1, formula="tensorflow")


def test_goes_on_from_its_state():
    whole, broken = parameter(), parameter()
    expected = steps(KerasAdam([whole], 0.1), whole, [0.3, -0.2, 0.1])
    first = KerasAdam([broken], 0.1)
    steps(first, broken, [0.3, -0.2])
    second = KerasAdam([broken], 0.1)
    second.load_state_dict(first.state_dict())
    assert steps(second, broken, [0.1]) == expected
