"""What augmentation costs: beside a training step, and beside MONAI's transforms.

Run it with ``python tests/benchmarks/bench_augmentation.py``. Times are medians of calls in turns,
in one process with one thread. MONAI's transforms act on one sample after another and draw from a
generator of their own kind (``numpy.random.RandomState``).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import torch
from monai.transforms import Compose, Rand2DElasticd, RandAffined

from reprostats.datasets.augmentation import Augmentation
from reprostats.models.initialisers import build
from reprostats.models.unet import UNet

CALLS = 9
BATCH, SIDE = 8, 128
SETTINGS = Augmentation(
    rotation_degrees=180, zoom=(0.9, 1.1), shift_pixels=8, elastic_alpha=2, elastic_sigma=8
)


def training_step(widths: tuple[int, ...], images: torch.Tensor, masks: torch.Tensor) -> Callable:
    model = build(lambda: UNet(widths=widths), "glorot_uniform", torch.Generator().manual_seed(1))
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), masks)
        loss.backward()
        optimiser.step()

    return step


def monai_batch(images: torch.Tensor, masks: torch.Tensor) -> Callable:
    """Turn, enlarge, move, then bend: MONAI has no transform that does all at once."""
    both = {"keys": ("image", "mask"), "prob": 1.0, "mode": ("bilinear", "nearest")}
    transform = Compose(
        [
            RandAffined(
                rotate_range=math.pi, scale_range=0.1, translate_range=8,
                padding_mode="reflection", **both,
            ),
            Rand2DElasticd(
                spacing=8, magnitude_range=(1, 2), padding_mode="reflection", **both
            ),
        ]
    )  # fmt: skip

    def augment() -> None:
        done = [
            transform({"image": image, "mask": mask})
            for image, mask in zip(images, masks, strict=True)
        ]
        torch.stack([each["image"] for each in done])

    return augment


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(BATCH, 1, SIDE, SIDE, generator=generator)
    masks = (images > 0.5).float()
    bound = SETTINGS.bind(generator)
    sides: dict[str, Callable] = {
        "reprostats": lambda: bound(images, masks),
        "MONAI": monai_batch(images, masks),
        "step of a small U-Net (16, 32, 64)": training_step((16, 32, 64), images, masks),
        "step of a U-Net (32 .. 256)": training_step((32, 64, 128, 256), images, masks),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(CALLS):
        for name, call in sides.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    medians = {name: 1e3 * statistics.median(each[1:]) for name, each in times.items()}
    print(f"batches of {BATCH} images of {SIDE} x {SIDE}, one thread")
    for name, milliseconds in medians.items():
        share = medians["reprostats"] / milliseconds
        print(f"{name}: {milliseconds:.1f} ms; reprostats takes {share:.3f} of that")


if __name__ == "__main__":
    main()
