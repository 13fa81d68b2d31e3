import torch
from torch import nn
from torch.utils import data

from reprostats import Study
from reprostats.sources import seeds


class Images(data.Dataset):
    """Noisy images, every second one with a brighter square, turned at random."""

    def __init__(self):
        self.labels = torch.arange(200) % 2
        self.images = torch.randn(200, 1, 12, 12, generator=torch.Generator().manual_seed(0))
        self.images[self.labels == 1, :, 2:6, 2:6] += 0.8

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        turns = int(torch.randint(4, ()))
        return torch.rot90(self.images[index], turns, dims=(1, 2)), self.labels[index]


def network():
    layers = [nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(512, 2)]
    return nn.Sequential(*layers)


def train(trial):
    images = Images()
    training, test = data.random_split(images, [140, 60], trial.torch_generator("split"))
    order = data.RandomSampler(training, generator=trial.torch_generator("batch_order"))
    turns = trial.torch_generator("augmentation")
    loader = data.DataLoader(training, 20, sampler=order, num_workers=2, generator=turns)
    with trial.stream("init"):
        model = network()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(4):
        for inputs, labels in loader:
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimiser.step()
    trial.keep("weights", model.state_dict())
    answers = model.eval()(images.images[test.indices]).argmax(dim=1)
    return {"accuracy": (answers == images.labels[test.indices]).float().mean().item()}


study = Study(train, varied=[seeds(n) for n in range(3)], repeats=2)
study.run()
print(study.report(metric="accuracy", trivial_value=0.5))
