import numpy as np
import torch
from monai.data import DataLoader, Dataset, create_test_image_2d
from monai.losses import DiceLoss
from monai.metrics import compute_dice
from monai.networks.nets import UNet
from monai.transforms import Compose, EnsureChannelFirstd, RandFlipd, RandGaussianNoised

from reprostats import Study


def discs(number, seed):
    drawn = np.random.RandomState(seed)
    options = {"num_objs": 3, "rad_max": 8, "num_seg_classes": 1, "random_state": drawn}
    pairs = [create_test_image_2d(32, 32, noise_max=0.5, **options) for _ in range(number)]
    return [{"image": image, "mask": mask} for image, mask in pairs]


def train(trial):
    channels = EnsureChannelFirstd(["image", "mask"], channel_dim="no_channel")
    flip, noise = RandFlipd(["image", "mask"], prob=0.5), RandGaussianNoised("image", prob=0.5)
    cases = Dataset(discs(24, seed=0), Compose([channels, flip, noise]))
    order = torch.utils.data.RandomSampler(cases, generator=trial.torch_generator("batch_order"))
    drawn = trial.torch_generator("augmentation")
    loader = DataLoader(cases, batch_size=8, sampler=order, num_workers=2, generator=drawn)
    with trial.stream("init"):
        model = UNet(2, 1, 1, channels=(4, 8, 16), strides=(2, 2), dropout=0.1)
    optimiser, loss = torch.optim.Adam(model.parameters(), lr=0.01), DiceLoss(sigmoid=True)
    for _ in range(2):
        for batch in loader:
            optimiser.zero_grad()
            loss(model(batch["image"]), batch["mask"]).backward()
            optimiser.step()
    trial.keep("weights", model.state_dict())
    model.eval()
    dice = {}
    for number, case in enumerate(Dataset(discs(6, seed=1), channels)):
        answer = model(case["image"][None]) > 0
        dice[f"disc {number}"] = compute_dice(answer, case["mask"][None]).item()
    return {"dice": dice}


streams = ["init", "batch_order", "augmentation", "dropout"]
study = Study(train, varied=[dict.fromkeys(streams, n) for n in range(3)], repeats=2)
study.run()
print(study.report(metric="dice"))
