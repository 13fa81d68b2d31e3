"""The processor on which a trial computes; and whether this machine has a GPU."""

from __future__ import annotations

from functools import lru_cache

from reprostats.sources._base import Level, Source, Switch


class Device(Source):
    """The device of tensors, which ``trial.to`` puts into effect and reads back."""

    name = "device"
    kind = "choice"
    meaning = "where tensors live"
    default = "cpu"
    level_description = "'cpu', 'cuda' or 'cuda:N'"
    # CUDA must have started before the global generators are seeded. PyTorch keeps the seed of a
    # GPU that has not started for later, and that would be the one of the last stream entered.
    applied_first = True

    def check(self, level: object) -> None:
        """Accept the CPU, and the GPUs that PyTorch finds."""
        if level == "cpu":
            return
        name, _, number = str(level).partition(":")
        if name != "cuda" or not (number.isdigit() or level == "cuda"):
            raise self.refuse(level)
        count = gpu_count()
        if int(number or 0) >= count:
            raise self.not_available(level, f"PyTorch finds {count or 'no'} CUDA device(s)")

    def variables(self, level: Level) -> dict[str, str]:  # noqa: ARG002
        """Let PyTorch count GPUs without starting CUDA, which no process may do before it forks."""
        return {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}

    def apply(self, level: Level) -> None:
        """Start CUDA if the trial computes on a GPU."""
        if str(level).startswith("cuda"):
            import torch

            torch.cuda.init()


class GpuSwitch(Switch):
    """A switch that acts on GPUs only."""

    def check(self, level: object) -> None:
        """Accept False everywhere, and True where PyTorch finds a GPU."""
        super().check(level)
        if level and not gpu_count():
            raise self.not_available(
                level, "PyTorch finds no CUDA device, and it acts on nothing else"
            )


@lru_cache(maxsize=1)
def gpu_count() -> int:
    """Count the GPUs that PyTorch finds on this machine."""
    import torch

    return torch.cuda.device_count()
