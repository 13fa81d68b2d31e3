"""A training function: it takes a trial and returns its metrics."""

import torch
from sklearn.datasets import load_breast_cancer

from reprostats import Trial


def train(trial: Trial) -> dict[str, float]:
    """Train a small network, with a learning rate and a width that the config names."""
    data = load_breast_cancer()
    x, y = torch.tensor(data.data).float(), torch.tensor(data.target).float()
    order = torch.randperm(len(x), generator=trial.torch_generator("split"))
    learn, test = order[:100], order[100:]
    x = (x - x[learn].mean(0)) / x[learn].std(0)
    with trial.stream("init"):
        model = torch.nn.Sequential(
            torch.nn.Linear(30, trial.config["width"]),
            torch.nn.Tanh(),
            torch.nn.Linear(trial.config["width"], 1),
        )
    optimiser = torch.optim.Adam(model.parameters(), lr=trial.config["learning_rate"])
    for _ in range(100):
        optimiser.zero_grad()
        logits = model(x[learn])[:, 0]
        torch.nn.functional.binary_cross_entropy_with_logits(logits, y[learn]).backward()
        optimiser.step()
    right = (model(x[test])[:, 0] > 0) == (y[test] > 0)
    return {"accuracy": float(right.float().mean())}
