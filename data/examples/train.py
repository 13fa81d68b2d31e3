"""A training script as many are: it knows nothing of reprostats.

python train.py --seed 1 --rate 0.1 --out FOLDER
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--rate", type=float, default=0.01)
parser.add_argument("--out", type=Path, default=Path())
options = parser.parse_args()

x, y = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, train_size=100, random_state=0)
model = make_pipeline(
    StandardScaler(),
    SGDClassifier(
        learning_rate="constant", eta0=options.rate, max_iter=5, tol=None, random_state=options.seed
    ),
)
model.fit(x_train, y_train)
right = model.predict(x_test) == y_test
(options.out / "metrics.json").write_text(json.dumps({"accuracy": float(np.mean(right))}))
np.save(options.out / "weights.npy", model[-1].coef_)
