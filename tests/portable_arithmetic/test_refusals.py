"""What has no portable form is refused by name; other ways to run PyTorch have the same bits."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from reprostats.errors import InputError, UnportableError
from reprostats.portable_arithmetic.mode import portable
from tests.portable_arithmetic.every_operation import complexes, numbers

VALUES = numbers(64, 5) / 4


def network(values):
    return (torch.exp(values) @ values.T).softmax(-1).std()


def portable_result(function=network, **settings):
    with portable(**settings):
        return function(VALUES).item()


def _autocast():
    with torch.autocast("cpu", torch.bfloat16):
        return functional.linear(VALUES, VALUES)


def _library():
    library = torch.library.Library("reprostats_test", "DEF")
    library.define("double(Tensor x) -> Tensor")
    library.impl("double", lambda x: x * 2, "CompositeExplicitAutograd")
    return library


LIBRARY = _library()
REFUSED = {
    "float16": (VALUES.half, "_to_copy.*float16"),
    "bfloat16": (lambda: torch.ones(2, dtype=torch.bfloat16), "ones.*bfloat16"),
    "autocast": (_autocast, "bfloat16"),
    "sparse": (VALUES.to_sparse, "_to_sparse"),
    "sparse made": (lambda: torch.sparse_coo_tensor([[0]], [1.0], (2,)), "sparse"),
    "quantised": (lambda: torch.quantize_per_tensor(VALUES, 0.1, 0, torch.qint8),
        "quantize_per_tensor.*qint8"),
    "complex exp": (lambda: complexes(3).exp(), r"aten\.exp\.default.*complex"),
    "complex sqrt": (lambda: complexes(3).sqrt(), r"aten\.sqrt\.default.*complex"),
    "complex sigmoid": (lambda: complexes(3).sigmoid(), r"aten\.sigmoid\.default.*complex"),
    "complex power": (lambda: complexes(3) ** 2.5, r"aten\.pow\.Tensor_Scalar.*complex"),
    "angle": (lambda: complexes(3).angle(), r"aten\.angle"),
    "custom": (lambda: torch.ops.reprostats_test.double(VALUES), r"_test\.double\.default"),
    "grid_sample": (
        lambda: functional.grid_sample(torch.ones(1, 1, 4, 4), torch.ones(1, 2, 2, 2)),
        "grid_sampler_2d"),
    "eigenvalues": (lambda: torch.linalg.eigvalsh(torch.eye(3)), "linalg_eigh"),
    "remainder": (lambda: VALUES % 0.3, r"remainder\.Scalar.*integers alone"),
    "pooling": (lambda: functional.adaptive_avg_pool2d(torch.ones(1, 1, 5, 5), 3),
        "no multiples"),
    "angles": (lambda: torch.sin(VALUES * 1e9), r"aten\.sin\.default.*up to 823550"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_operation_and_the_line(name):
    function, message = REFUSED[name]
    with portable(), pytest.raises(UnportableError, match=message) as error:
        function()
    assert "test_refusals.py, line " in str(error.value)


def test_a_refusal_in_a_backward_pass_names_the_line_that_started_it():
    class Strange(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):  # noqa: ARG004 - of PyTorch
            return values.clone()

        @staticmethod
        def backward(ctx, gradient):  # noqa: ARG004
            return torch.ops.reprostats_test.double(gradient)

    with portable(), pytest.raises(UnportableError, match=r"double.*test_refusals\.py"):
        Strange.apply(VALUES.clone().requires_grad_()).sum().backward()


def test_a_generator_of_another_device_is_refused():
    class Foreign:
        device = torch.device("cuda")

    from reprostats.portable_arithmetic.operations.draws import _Draw

    with pytest.raises(UnportableError, match="a random generator on cuda was given"):
        _Draw(Foreign())


@pytest.mark.parametrize("operand_bits", [1, 54, 2.5, "24"])
def test_impossible_accuracies_are_refused(operand_bits):
    with pytest.raises(InputError, match="from 2 to 53"), portable(operand_bits=operand_bits):
        pass


def test_flushed_denormal_numbers_are_refused():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot make small numbers 0")
    try:
        with pytest.raises(UnportableError, match="set_flush_denormal"), portable():
            pass
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("compiled_before", [True, False])
def test_compiled_functions_run_as_they_were_written(backend, compiled_before):
    torch._dynamo.reset()
    compiled = torch.compile(network, backend=backend)
    if compiled_before:
        compiled(VALUES)
    assert portable_result(compiled) == portable_result()


def test_inference_mode_has_the_same_bits():
    with torch.inference_mode():
        assert portable_result() == portable_result()
        result = portable_result()
    assert result == portable_result()


@pytest.mark.parametrize("layer", [
    nn.Conv2d(1, 2, 3), nn.LSTM(5, 3), nn.Linear(5, 5), nn.MultiheadAttention(4, 2),
    nn.MaxPool1d(2),
    nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), nn.BatchNorm1d(5).eval(),
], ids=lambda layer: type(layer).__name__)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_fast_paths_without_gradients_have_the_same_bits(layer):
    """PyTorch takes fused kernels where no gradient is wanted; they must not hide operations."""
    shapes = {nn.Conv2d: (1, 1, 6, 6), nn.MultiheadAttention: (3, 2, 4), nn.MaxPool1d: (2, 3, 4),
              nn.TransformerEncoderLayer: (2, 3, 4)}  # fmt: skip
    values = numbers(*shapes.get(type(layer), (4, 5)))
    given = (values, values, values) if isinstance(layer, nn.MultiheadAttention) else (values,)

    def output():
        result = layer(*given)
        return result[0] if isinstance(result, tuple) else result

    with portable():
        with_gradient = output()
        with torch.no_grad():
            without = output()
        with torch.inference_mode():
            inference = output()
    assert torch.equal(with_gradient, without)
    assert torch.equal(with_gradient, inference)


@pytest.mark.filterwarnings("ignore")
def test_scripted_and_traced_functions_have_the_same_bits():
    layers = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 2), nn.GELU())
    with portable():
        expected = layers(VALUES)
        scripted, traced = torch.jit.script(layers), torch.jit.trace(layers, (VALUES,))
        for _ in range(3):  # the first calls are profiled, later ones optimised
            assert torch.equal(scripted(VALUES), expected)
            assert torch.equal(traced(VALUES), expected)


def test_functions_with_a_gradient_of_their_own():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            ctx.save_for_backward(values)
            return values**3

        @staticmethod
        def backward(ctx, gradient):
            (values,) = ctx.saved_tensors
            return 3 * values * values * gradient

    values = VALUES.clone().requires_grad_()
    with portable():
        Cube.apply(values).sum().backward()
        assert torch.equal(values.grad, 3 * VALUES * VALUES)


def test_changes_in_place_reach_what_they_are_a_view_of():
    base = VALUES.clone()
    with portable():
        base[:2].exp_().mul_(2)
        base.T[0].zero_()
        base.view(-1)[3:5].add_(1)
    expected = VALUES.clone()
    expected[:2].exp_().mul_(2)
    expected.T[0].zero_()
    expected.view(-1)[3:5].add_(1)
    torch.testing.assert_close(base, expected)


def test_checkpoints_transforms_and_hooks():
    layers = nn.Sequential(nn.Linear(5, 5), nn.Dropout(0.5), nn.Tanh())

    def gradient(run):
        with portable(seed=3):
            layers.zero_grad()
            run(VALUES).square().sum().backward()
        return layers[0].weight.grad

    usual = gradient(layers)
    again = gradient(
        lambda values: torch.utils.checkpoint.checkpoint(layers, values, use_reentrant=False)
    )
    assert torch.equal(usual, again)
    with portable():
        each = torch.func.vmap(torch.func.grad(lambda row: row.exp().sum()))(VALUES)
        assert torch.equal(each, VALUES.exp())


def test_batches_of_a_loader_with_workers():
    loader = DataLoader(TensorDataset(VALUES), batch_size=8, num_workers=1)
    shuffled = DataLoader(TensorDataset(torch.arange(64)), batch_size=8, shuffle=True)
    with portable(seed=2):
        batches = [batch for (batch,) in loader]
        order = torch.cat([batch for (batch,) in shuffled])
    assert torch.equal(torch.cat(batches), VALUES)
    assert order.tolist() != order.sort().values.tolist() == list(range(64))


def test_nested_modes_compute_as_one():
    expected = portable_result(seed=1)
    with portable(seed=2):
        before = torch.get_rng_state()
        assert portable_result(seed=1) == expected
        assert torch.equal(torch.get_rng_state(), before)
        with portable(seed=1):
            inner = torch.randn(3)
    with portable(seed=1):
        assert torch.equal(torch.randn(3), inner)
    with portable(operand_bits=4), portable():
        assert torch.equal(VALUES @ VALUES.T, _product())


def _product():
    with portable():
        return VALUES @ VALUES.T


def _flags():
    return (
        torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled,
        torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(), torch.backends.cuda.math_sdp_enabled(),
        torch.get_rng_state().tolist(), torch._C._len_torch_dispatch_stack(),
    )  # fmt: skip


@pytest.mark.parametrize("fails", [True, False])
def test_everything_is_afterwards_as_it_was(fails):
    before = _flags()
    try:
        with portable(seed=1):
            assert not torch.backends.mkldnn.enabled
            torch.randn(3)
            if fails:
                VALUES.half()
    except UnportableError:
        assert fails
    assert _flags() == before


def test_an_error_in_a_rule_leaves_the_mode_working():
    with portable():
        for _ in range(2):
            with pytest.raises(UnportableError):
                complexes(2).exp()
        with pytest.raises(UnportableError):
            VALUES.half()
        result = network(VALUES).item()
    assert result == portable_result()
