"""Operations of PyTorch that have one result everywhere as they are.

They move numbers, compare them, or round once: IEEE 754 leaves no choice. An operation comes on
this list only if that is true of it on every device, for every type that the mode lets in.
"""

from __future__ import annotations

from typing import Any

import torch

from reprostats.portable_arithmetic.table import UNCHANGED, leave_unchanged

aten = torch.ops.aten

_MOVED = """
_conj _conj_physical _neg_view _reshape_alias _reshape_copy _unsafe_view alias as_strided
block_diag cat channel_shuffle clone conj_physical constant_pad_nd contiguous copy detach
diag_embed diagonal diagonal_copy diagonal_scatter diagonal_backward expand expand_copy flip
gather im2col imag index index_fill index_select lift lift_fresh lift_fresh_copy masked_fill
masked_scatter masked_select movedim narrow narrow_copy new_empty new_empty_strided new_full
new_ones new_zeros permute permute_copy pixel_shuffle pixel_unshuffle real reflection_pad1d
reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d
replication_pad3d resolve_conj resolve_neg roll rot90 select select_backward select_scatter slice
slice_backward slice_scatter split split_with_sizes squeeze stack swapaxes t take transpose tril
triu unbind unfold unsafe_split unsafe_split_with_sizes unsqueeze view view_as_complex
view_as_real view_copy where zero transpose_ squeeze_ unsqueeze_ t_ complex resize_ set_
_local_scalar_dense is_same_size embedding masked_fill_ zero_ fill fill_ index_fill_
masked_scatter_ tril_ triu_ record_stream _pin_memory is_pinned
"""
_MADE = """
empty empty_like empty_permuted empty_strided eye full full_like ones ones_like scalar_tensor zeros
zeros_like tril_indices triu_indices
"""
_COMPARED = """
all any bitwise_and bitwise_left_shift bitwise_not bitwise_or
bitwise_right_shift bitwise_xor ceil copysign count_nonzero eq equal floor
frac ge gt heaviside isfinite isin isinf isnan isneginf isposinf le logical_and
logical_not logical_or logical_xor lt ne nonzero nonzero_static round
searchsorted bucketize sign signbit trunc
hardtanh_backward
threshold threshold_backward nextafter nan_to_num _unsafe_index
"""
_ROUNDED_ONCE = """
_prelu_kernel _prelu_kernel_backward leaky_relu leaky_relu_backward
"""

for _name in " ".join([_MOVED, _MADE, _COMPARED, _ROUNDED_ONCE]).split():
    _packet: Any = getattr(torch.ops.aten, _name, None)
    if _packet is not None:  # some are not in every version of PyTorch
        leave_unchanged(_packet)
    if not _name.endswith("_") and hasattr(torch.ops.aten, f"{_name}_"):
        leave_unchanged(getattr(torch.ops.aten, f"{_name}_"))
UNCHANGED.update({aten.scatter.value, aten.scatter_.value, aten.scatter.value_out})
leave_unchanged(torch.ops.profiler._record_function_enter_new)
leave_unchanged(torch.ops.profiler._record_function_exit)
