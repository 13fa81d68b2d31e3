"""The instruction set of PyTorch's kernels."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path

from reprostats.sources._base import Level, OneOf

_VARIABLES: dict[str, dict[str, str]] = {
    "native": {},
    "baseline": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
}
_CPU_FLAG = {"avx2": "avx2", "avx512": "avx512f"}
_CAPABILITY = {"baseline": "DEFAULT", "avx2": "AVX2", "avx512": "AVX512"}


class InstructionSet(OneOf):
    """The instruction set that PyTorch, oneDNN and MKL may use."""

    name = "isa"
    kind = "environment"
    meaning = "instruction set of PyTorch's kernels (not of NumPy's)"
    default = "native"
    names = tuple(_VARIABLES)
    controlled = frozenset(
        {
            "DNNL_MAX_CPU_ISA",  # oneDNN reads it too
            *(variable for setting in _VARIABLES.values() for variable in setting),
        }
    )

    def check(self, level: object) -> None:
        """Accept what this machine's processor has."""
        super().check(level)
        if level not in instruction_sets():
            raise self.not_available(level, f"its processor has {', '.join(instruction_sets())}")

    def variables(self, level: Level) -> dict[str, str]:
        """Return the limit for each library; none for the native set."""
        return _VARIABLES[str(level)]

    def read_back(self) -> dict[str, Level]:
        """Return the set that PyTorch's kernels use, in PyTorch's words."""
        import torch

        return {self.name: torch.backends.cpu.get_cpu_capability()}

    def expected(self, level: Level) -> dict[str, Level]:
        """Return PyTorch's word for a level; the native set is whatever it turns out to be."""
        return {self.name: _CAPABILITY[str(level)]} if level in _CAPABILITY else {}


@lru_cache(maxsize=1)
def instruction_sets() -> tuple[str, ...]:
    """Return the levels of the source ``isa`` that this machine's processor has.

    Only x86-64 Linux lets them be chosen and looked up; any other system has ``"native"`` alone.
    """
    processor = Path("/proc/cpuinfo")
    if platform.machine() not in {"x86_64", "AMD64"} or not processor.is_file():
        return ("native",)
    flags = set(processor.read_text().split())
    present = [name for name, flag in _CPU_FLAG.items() if flag in flags]
    return ("native", "baseline", *present)
