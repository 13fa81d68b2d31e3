from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from torch import from_numpy

from reprostats import Study


def train(trial):
    inputs, labels = make_classification(n_samples=300, random_state=0)
    with trial.stream("split"):
        inputs, test_inputs, labels, test_labels = train_test_split(inputs, labels)
    with trial.stream("init"):
        model = MLPClassifier(max_iter=1000).fit(inputs, labels)
    trial.keep("weights", {str(n): from_numpy(each) for n, each in enumerate(model.coefs_)})
    return {"accuracy": model.score(test_inputs, test_labels)}


study = Study(train, varied=[{"init": n, "split": n} for n in range(3)], repeats=2)
study.run()
print(study.report(metric="accuracy", trivial_value=0.5))
