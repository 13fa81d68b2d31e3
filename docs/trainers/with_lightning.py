import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from reprostats import Study


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        layers = [nn.Linear(10, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2)]
        self.network = nn.Sequential(*layers)

    def training_step(self, batch, number):
        inputs, labels = batch
        return nn.functional.cross_entropy(self.network(inputs), labels)

    def test_step(self, batch, number):
        inputs, labels = batch
        answers = self.network(inputs).argmax(dim=1)
        self.log("accuracy", (answers == labels).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def points(number, seed):
    values = torch.randn(number, 10, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(values, (values.sum(dim=1) > 0).long())


def train(trial):
    order = trial.torch_generator("batch_order")
    loader = DataLoader(points(200, seed=0), batch_size=20, shuffle=True, generator=order)
    with trial.stream("init"):
        model = Classifier()
    trainer = lightning.Trainer(
        default_root_dir=trial.folder,
        max_epochs=3,
        accelerator="cpu",
        devices=1,
    )
    trainer.fit(model, loader)
    trial.keep("weights", model.state_dict())
    (metrics,) = trainer.test(model, DataLoader(points(100, seed=1), batch_size=100))
    return metrics


streams = ["init", "batch_order", "dropout"]
study = Study(train, varied=[dict.fromkeys(streams, n) for n in range(3)], repeats=2)
study.run()
print(study.report(metric="accuracy", trivial_value=0.5))
