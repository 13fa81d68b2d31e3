"""Each operation gives what PyTorch gives in float64, up to rounding, and the same type and shape.

The calls are those of `every_operation.py`; a rule that none of them calls fails a test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from reprostats.errors import InputError, UnportableError
from reprostats.portable_arithmetic.mode import portable
from reprostats.portable_arithmetic.table import RULES, functional_of
from tests.portable_arithmetic.every_operation import (
    CALLS,
    DRAWS,
    OPERAND_BITS,
    calls_by_name,
    numbers,
)

SCRIPT = Path(__file__).with_name("every_operation.py")
FLOAT32_ERROR, FLOAT64_ERROR = 2e-6, 2e-13  # of the largest result of a call
SINGLE, DOUBLE = (torch.float32, torch.complex64), (torch.float64, torch.complex128)
BUFFERS = ("log_sigmoid_forward.default",)  # whose second result depends on the device


def _widened(values):
    if values.dtype is torch.float32:
        return values.double()
    return values.to(torch.complex128) if values.dtype is torch.complex64 else values.clone()


def _error(call):
    """Return the error allowed, of the largest result; PyTorch's 1/6 has the bits of float32."""
    tensors = [each for each in call.arguments if isinstance(each, torch.Tensor)]
    single = not any(each.dtype in DOUBLE for each in tensors) or any(
        each.dtype in SINGLE for each in tensors
    )
    return FLOAT32_ERROR if single or "hardsigmoid" in call.name else FLOAT64_ERROR


def _assert_close(call, expected, found, error):
    expected = expected.to(found.dtype)
    finite = expected[expected.isfinite()] if expected.is_floating_point() else expected
    largest = finite.to(torch.complex128).abs().max().item() if finite.numel() else 0.0
    torch.testing.assert_close(
        found, expected, rtol=error, atol=error * largest, equal_nan=True,
        msg=lambda text: f"{call}: {text}",
    )  # fmt: skip


def test_every_rule_is_called():
    called = {f"aten.{call.name}" for call in (*CALLS, *DRAWS)}
    assert sorted({str(operation) for operation in RULES} - called) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted({call.name for call in CALLS}))
def test_calls_agree_with_pytorch(name):
    for call in calls_by_name()[name]:
        expected, usual = call.results(_widened), call.results()
        with portable(operand_bits=OPERAND_BITS):
            found = call.results()
        assert len(usual) == len(found), call
        for place, (result, native, wide) in enumerate(zip(found, usual, expected, strict=True)):
            if call.name in BUFFERS and place == 1:
                continue
            assert (result.dtype, result.shape) == (native.dtype, native.shape), (call, place)
            _assert_close(call, wide, result, _error(call))


@pytest.mark.parametrize("call", DRAWS, ids=repr)
def test_draws_have_the_type_and_shape_of_pytorch(call):
    with torch.no_grad():
        usual = call.results()
        with portable():
            found = call.results()
    assert [(each.dtype, each.shape) for each in found] == [
        (each.dtype, each.shape) for each in usual
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["topk.default", "median.dim", "cumsum.default", "mm.default",
    "_softmax.default", "convolution.default", "sort.default"])  # fmt: skip
def test_results_can_be_viewed_as_pytorchs(name):
    with torch.no_grad():
        for call in calls_by_name()[name]:
            usual = call.results()
            with portable():
                found = call.results()
            pairs = zip(usual, found, strict=True)
            assert all(b.is_contiguous() for a, b in pairs if a.is_contiguous()), call


def _in_place_operations():
    packets = (getattr(torch.ops.aten, name) for name in dir(torch.ops.aten))
    overloads = (
        getattr(packet, overload)
        for packet in packets
        if isinstance(packet, torch._ops.OpOverloadPacket)
        for overload in packet.overloads()
    )
    return [each for each in overloads if each._schema.name.endswith("_") and each not in RULES]


def test_variants_in_place_take_the_arguments_of_the_rule():
    """`pow_.Scalar` is no variant of `pow.Scalar`, which has a number as its base."""
    for name in dir(torch.ops.aten):
        getattr(torch.ops.aten, name)
    for operation in _in_place_operations():
        functional_form = functional_of(operation)
        if functional_form in RULES:
            pairs = zip(
                operation._schema.arguments, functional_form._schema.arguments, strict=False
            )
            assert all(str(a.type) == str(b.type) for a, b in pairs), operation


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "log1p", "sqrt", "rsqrt", "abs",
                                  "reciprocal", "erf", "sin", "relu", "cumsum", "clamp", "pow",
                                  "mul", "add", "div", "lerp"])  # fmt: skip
def test_in_place_and_out_are_the_plain_operation(name):
    more = {"cumsum": (0,), "clamp": (-0.5, 0.5), "pow": (3,), "mul": (0.3,), "add": (0.3,),
            "div": (3,), "lerp": (torch.ones(3, 4), 0.3)}.get(name, ())  # fmt: skip
    values = numbers(3, 4).abs()
    with portable():
        expected = getattr(torch, name)(values, *more)
        whole = values.repeat(2, 1)
        view = whole[:3]
        assert getattr(view, f"{name}_")(*more) is view
        out = torch.empty(0)
        if name != "relu":
            assert getattr(torch, name)(values, *more, out=out) is out
            assert torch.equal(out, expected)
    assert torch.equal(whole, torch.cat([expected, values]))


def test_a_type_without_room_is_refused_in_place():
    with portable():
        with pytest.raises(InputError, match=r"torch\.float32 cannot be written.*torch\.int64"):
            torch.tensor([3]).div_(2)
        with pytest.raises(InputError, match="cannot be written"):
            torch.exp(torch.ones(2), out=torch.empty(2, dtype=torch.int64))


@pytest.mark.parametrize("number", [300.0, -1.5, float("nan"), float("inf")])
def test_an_integer_without_room_is_refused(number):
    with portable(), pytest.raises(UnportableError, match=r"torch\.uint8, which holds 0 to 255"):
        torch.tensor([1.0, number]).to(torch.uint8)


def test_of_several_numbers_for_one_place_the_last_one_stays():
    index, source = torch.tensor([2, 0, 2, 2, 1]), torch.arange(5.0)
    with portable():
        put = torch.zeros(4).index_put((index,), source)
        scattered = torch.zeros(4).scatter(0, index, source)
    assert put.tolist() == scattered.tolist() == [1.0, 4.0, 3.0, 0.0]


def test_what_is_beside_an_infinity_is_not_lost():
    with portable():
        summed = torch.zeros(3).index_add(
            0, torch.tensor([0, 1, 1]), torch.tensor([torch.inf, 1, 2])
        )
        image = torch.ones(1, 1, 6)
        image[0, 0, 0] = torch.inf
        convolved = functional.conv1d(image, torch.ones(1, 1, 2))
    assert summed.tolist() == [torch.inf, 3.0, 0.0]
    assert convolved.flatten().tolist() == [torch.inf, 2.0, 2.0, 2.0, 2.0]


def test_parts_of_complex_numbers_do_not_meet():
    """PyTorch multiplies by 1 + 0i before it adds, and infinity times 0 is NaN."""
    infinite, one = torch.complex(torch.tensor([torch.inf]), torch.ones(1)), torch.ones(1)
    with portable():
        results = [infinite - 1j, infinite * 2, infinite / 2, infinite + one, infinite.sum()]
        turned = -torch.zeros(9, dtype=torch.complex64)
    assert [each.real.item() for each in results] == [torch.inf] * 5
    assert [each.imag.item() for each in results] == [0.0, 2.0, 0.5, 1.0, 1.0]
    assert turned.real.signbit().all()
    assert turned.imag.signbit().all()


def _trained(make, **settings):
    torch.manual_seed(3)
    with torch.no_grad():
        layer, values = nn.Linear(5, 2), torch.randn(16, 5)
    optimiser = make(layer.parameters(), **settings)

    def closure():
        optimiser.zero_grad()
        loss = layer(values).square().mean()
        loss.backward()
        return loss

    return layer, optimiser, closure


OPTIMISERS = ["Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "Adamax", "NAdam", "RAdam", "Adadelta",
              "ASGD", "Rprop", "LBFGS"]  # fmt: skip
SETTINGS = [{}, {"weight_decay": 0.1}, {"amsgrad": True}, {"momentum": 0.9}, {"maximize": True},
            {"centered": True}, {"lr": 0.01, "momentum": 0.9, "nesterov": True}]  # fmt: skip


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers(name, foreach):
    make = getattr(torch.optim, name)
    known = make.__init__.__code__.co_varnames
    lists = {"foreach": foreach} if "foreach" in known else {}
    for settings in SETTINGS:
        if not set(settings) <= set(known):
            continue
        weights = []
        for mode in (torch.enable_grad(), portable(operand_bits=24)):
            layer, optimiser, closure = _trained(make, **settings, **lists)
            with mode:
                for _ in range(3):
                    optimiser.step(closure)
            weights.append(layer.weight.detach())
        torch.testing.assert_close(*weights, rtol=2e-4, atol=2e-5, msg=f"{name} {settings}")


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "Adagrad"])
def test_fused_optimisers_are_refused_by_name(name):
    _, optimiser, closure = _trained(getattr(torch.optim, name), lr=0.1, fused=True)
    with portable(), pytest.raises(UnportableError, match=f"_fused_{name.lower()}_"):
        optimiser.step(closure)


IMAGES, SEQUENCES, VOLUMES = (2, 4, 8, 8), (3, 5, 8), (1, 4, 4, 4, 4)
LAYERS = {
    "Linear": (nn.Linear(8, 3), IMAGES), "Bilinear": (nn.Bilinear(8, 8, 3), IMAGES),
    "Conv1d": (nn.Conv1d(5, 4, 3, padding="same"), SEQUENCES),
    "Conv2d": (nn.Conv2d(4, 6, 3, 2, 1), IMAGES),
    "Conv3d": (nn.Conv3d(4, 2, 3, padding=1), VOLUMES),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4), IMAGES),
    "circular": (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), IMAGES),
    "reflect": (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), IMAGES),
    "ConvTranspose1d": (nn.ConvTranspose1d(5, 4, 3, 2), SEQUENCES),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 2, 3, 2, 1, 1), IMAGES),
    "ConvTranspose3d": (nn.ConvTranspose3d(4, 2, 2, 2), VOLUMES),
    "BatchNorm1d": (nn.BatchNorm1d(5), SEQUENCES), "BatchNorm2d": (nn.BatchNorm2d(4), IMAGES),
    "BatchNorm3d": (nn.BatchNorm3d(4), VOLUMES), "LayerNorm": (nn.LayerNorm(8), SEQUENCES),
    "GroupNorm": (nn.GroupNorm(2, 4), IMAGES),
    "InstanceNorm2d": (nn.InstanceNorm2d(4, affine=True), IMAGES),
    "InstanceNorm3d": (nn.InstanceNorm3d(4), VOLUMES), "RMSNorm": (nn.RMSNorm(8), SEQUENCES),
    "LocalResponseNorm": (nn.LocalResponseNorm(2), IMAGES),
    "MaxPool1d": (nn.MaxPool1d(2), SEQUENCES), "MaxPool2d": (nn.MaxPool2d(2), IMAGES),
    "MaxPool3d": (nn.MaxPool3d(2), VOLUMES), "AvgPool1d": (nn.AvgPool1d(2), SEQUENCES),
    "AvgPool2d": (nn.AvgPool2d(2), IMAGES), "AvgPool3d": (nn.AvgPool3d(2), VOLUMES),
    "LPPool2d": (nn.LPPool2d(2, 2), IMAGES), "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d(4), IMAGES),
    "AdaptiveAvgPool1d": (nn.AdaptiveAvgPool1d(4), SEQUENCES),
    "AdaptiveAvgPool3d": (nn.AdaptiveAvgPool3d(1), VOLUMES),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d(3), IMAGES),
    "AdaptiveMaxPool1d": (nn.AdaptiveMaxPool1d(3), SEQUENCES),
    "nearest": (nn.Upsample(scale_factor=2), IMAGES),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), IMAGES),
    "trilinear": (nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True), VOLUMES),
    "PixelShuffle": (nn.PixelShuffle(2), IMAGES), "PixelUnshuffle": (nn.PixelUnshuffle(2), IMAGES),
    "ZeroPad2d": (nn.ZeroPad2d(1), IMAGES), "ReflectionPad2d": (nn.ReflectionPad2d(2), IMAGES),
    "ReplicationPad3d": (nn.ReplicationPad3d(1), VOLUMES),
    "CircularPad2d": (nn.CircularPad2d(1), IMAGES),
    "Unfold": (nn.Unfold(2), IMAGES), "Flatten": (nn.Flatten(), IMAGES),
    "ChannelShuffle": (nn.ChannelShuffle(2), IMAGES),
    **{name: (getattr(nn, name)(), IMAGES) for name in (
        "ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish",
        "Softplus",
        "Sigmoid", "Tanh", "LogSigmoid", "Hardsigmoid", "Hardswish", "Hardtanh", "Softsign",
        "Tanhshrink",
        "Hardshrink", "Softshrink")},
    "Threshold": (nn.Threshold(0.1, 2), IMAGES), "GLU": (nn.GLU(1), IMAGES),
    "Softmax": (nn.Softmax(1), IMAGES),
    "Softmin": (nn.Softmin(1), IMAGES), "LogSoftmax": (nn.LogSoftmax(1), IMAGES),
    "Softmax2d": (nn.Softmax2d(), IMAGES),
    "RNN": (nn.RNN(8, 4, 2, batch_first=True), SEQUENCES),
    "LSTM": (nn.LSTM(8, 4, 2, bidirectional=True), SEQUENCES),
    "LSTM projected": (nn.LSTM(8, 4, proj_size=2), SEQUENCES),
    "GRU": (nn.GRU(8, 4, bidirectional=True), SEQUENCES),
    "RNNCell": (nn.RNNCell(8, 4), (3, 8)), "LSTMCell": (nn.LSTMCell(8, 4), (3, 8)),
    "GRUCell": (nn.GRUCell(8, 4), (3, 8)),
    "attention": (nn.MultiheadAttention(8, 2), SEQUENCES),
    "encoder": (nn.TransformerEncoderLayer(8, 2, 16, 0.0), SEQUENCES),
    "encoder first": (nn.TransformerEncoderLayer(8, 2, 16, 0.0, norm_first=True, batch_first=True),
        SEQUENCES),
    "decoder": (nn.TransformerDecoderLayer(8, 2, 16, 0.0), SEQUENCES),
    "CosineSimilarity": (nn.CosineSimilarity(), IMAGES),
    "PairwiseDistance": (nn.PairwiseDistance(), IMAGES),
    **{name: (getattr(nn, name)(), IMAGES) for name in (
        "L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss", "PoissonNLLLoss", "SoftMarginLoss",
        "BCEWithLogitsLoss", "KLDivLoss")},
}  # fmt: skip
TWO_INPUTS = ("Bilinear", "decoder", "CosineSimilarity", "PairwiseDistance")
REFUSED = {"Bilinear": "_trilinear", "SoftMarginLoss": "soft_margin_loss"}


def _gradients(name, layer, values):
    layer.zero_grad()
    given = values.clone().requires_grad_()
    second = values.flip(0)
    if name == "attention":
        result = layer(given, given, given)
    elif name in TWO_INPUTS or name.endswith("Loss"):
        result = layer(
            given, second.sigmoid() if name.startswith(("BCE", "Soft", "KL")) else second
        )
    else:
        result = layer(given)
    first = result[0] if isinstance(result, tuple) else result
    slope = torch.linspace(-1, 1, first.numel()).reshape(first.shape)
    (first * slope).sum().backward()
    return [first.detach(), given.grad, *(each.grad for each in layer.parameters())]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("training", [True, False])
def test_layers_agree_with_pytorch(name, training):
    layer, shape = LAYERS[name]
    values = numbers(*shape) / 2
    layer.train(training)
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    expected = _gradients(name, layer, values)
    layer.load_state_dict(state)
    try:
        with portable(operand_bits=24):
            found = _gradients(name, layer, values)
    except UnportableError as error:
        assert REFUSED[name] in str(error)  # noqa: PT017 - some are refused, others are not
        return
    assert name not in REFUSED
    for usual, result in zip(expected, found, strict=True):
        largest = usual.abs().max().item() if usual is not None and usual.numel() else 0.0
        torch.testing.assert_close(result, usual, rtol=2e-5, atol=2e-6 + 1e-5 * largest)


def _printed(capability, threads):
    settings = {
        "ATEN_CPU_CAPABILITY": capability,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
    folder = str(SCRIPT.parents[2])
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env=os.environ | settings | {"PYTHONPATH": folder},
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.slow
def test_other_instructions_give_the_same_bits():
    assert _printed("default", "1") == _printed(_best(), "2")


@pytest.mark.long
@pytest.mark.parametrize("capability", ["default", "avx2", "avx512"])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_all_instructions_give_the_same_bits(capability, threads):
    if capability == "avx512" and _best() != "avx512":
        pytest.skip("this processor has no AVX512")
    assert _printed(capability, threads) == _printed("default", "1")


def _best():
    return {"AVX512": "avx512", "AVX2": "avx2"}.get(
        torch.backends.cpu.get_cpu_capability(), "default"
    )
