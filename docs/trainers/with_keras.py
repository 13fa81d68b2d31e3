import keras
import numpy as np
from torch import from_numpy

from reprostats import Study


def points(number, seed):
    values = np.random.default_rng(seed).normal(size=(number, 10)).astype("float32")
    return values, (values.sum(axis=1) > 0).astype("int64")


def train(trial):
    dropout = int(trial.generator("dropout").integers(2**31))
    with trial.stream("init"):
        model = keras.Sequential(
            [
                keras.layers.Dense(16, activation="relu"),
                keras.layers.Dropout(0.2, seed=dropout),
                keras.layers.Dense(2, activation="softmax"),
            ]
        )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    keras.utils.set_random_seed(int(trial.generator("batch_order").integers(2**31)))
    model.fit(*points(200, 0), batch_size=20, epochs=10, verbose=0)
    trial.keep("weights", {str(n): from_numpy(each) for n, each in enumerate(model.get_weights())})
    return {"accuracy": model.evaluate(*points(100, 1), verbose=0)[1]}


streams = ["init", "batch_order", "dropout"]
study = Study(train, varied=[dict.fromkeys(streams, n) for n in range(3)], repeats=2)
study.run()
print(study.report(metric="accuracy", trivial_value=0.5))
