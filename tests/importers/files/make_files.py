"""Makes the files beside it with the tools themselves: small, and the same numbers for all.

    python make_files.py FOLDER

needs mlflow-skinny, wandb, optuna, scikit-learn, lightning, tensorboard, hydra-core, monai and
transformers with torch; README.md has the versions that were used. The numbers are those of
`dice`, so that a test can check what is read without reading the files another way. Files of
nnU-Net need trained networks; the tests write them, to the form of its source.
"""

import os
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

ALGORITHMS, SEEDS, FOLDS = ("unet", "fcn"), (0, 1), (0, 1)
warnings.filterwarnings("ignore")


def dice(algorithm, seed, fold, case=0):
    """The value of a training, or of a case of it."""
    return round(0.8 + 0.05 * (algorithm == "fcn") + 0.01 * seed + 0.002 * fold + 0.001 * case, 4)


def trainings():
    return [(a, s, f) for a in ALGORITHMS for s in SEEDS for f in FOLDS]


def make_mlflow(folder):
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow

    mlflow.set_tracking_uri((folder / "mlruns").as_uri())
    mlflow.set_experiment("toy")
    for algorithm, seed, fold in trainings()[:3]:
        with mlflow.start_run():
            mlflow.log_params({"model": algorithm, "seed": seed, "fold": fold})
            for epoch in (0, 1):
                mlflow.log_metric(
                    "dice", dice(algorithm, seed, fold) - 0.1 * (1 - epoch), step=epoch
                )
    client = mlflow.MlflowClient()
    run = client.create_run(client.get_experiment_by_name("toy").experiment_id)
    client.log_param(run.info.run_id, "model", "unet")
    client.log_param(run.info.run_id, "seed", 1)
    client.log_param(run.info.run_id, "fold", 1)
    client.log_metric(run.info.run_id, "dice", float("nan"))
    client.set_terminated(run.info.run_id, "FAILED")
    frame = mlflow.search_runs(experiment_names=["toy"])
    frame["artifact_uri"] = ""
    frame.to_csv(folder / "search_runs.csv", index=False)


def make_wandb(folder):
    os.environ["WANDB_MODE"], os.environ["WANDB_SILENT"] = "offline", "true"
    import wandb

    settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True, console="off")
    for algorithm, seed, fold in trainings()[:2]:
        config = {"model": {"name": algorithm}, "seed": seed, "fold": fold}
        run = wandb.init(project="toy", config=config, dir=str(folder), settings=settings)
        for epoch in (0, 1):
            run.log({"dice": dice(algorithm, seed, fold) - 0.1 * (1 - epoch), "epoch": epoch})
        run.finish(exit_code=int(fold))


def make_optuna(folder):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = f"sqlite:///{folder / 'study.db'}"
    study = optuna.create_study(storage=storage, study_name="toy", direction="maximize",
                                sampler=optuna.samplers.RandomSampler(seed=0))  # fmt: skip

    def objective(trial):
        model = trial.suggest_categorical("model", ALGORITHMS)
        for fold in FOLDS:
            trial.report(dice(model, trial.number, fold), fold)
        if trial.number == 3:
            raise optuna.TrialPruned
        return dice(model, trial.number, 0)

    study.optimize(objective, n_trials=4)
    study.trials_dataframe().to_csv(folder / "trials.csv", index=False)


def make_sklearn(folder):
    import json

    import pandas as pd
    from sklearn.datasets import load_iris
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import GridSearchCV, cross_validate

    x, y = load_iris(return_X_y=True)
    for seed in SEEDS:
        model = SGDClassifier(random_state=seed)
        scores = cross_validate(model, x, y, scoring=["accuracy", "neg_log_loss"][:1], cv=2)
        pd.DataFrame(scores).to_csv(folder / f"sgd_seed{seed}.csv", index=bool(seed))
        lists = {name: values.tolist() for name, values in scores.items()}
        (folder / f"sgd_seed{seed}.json").write_text(json.dumps(lists))
    grid = {"alpha": [0.1, 0.01], "random_state": [0, 1]}
    search = GridSearchCV(SGDClassifier(), grid, cv=2).fit(x, y)
    (folder / "search").mkdir()
    pd.DataFrame(search.cv_results_).to_csv(folder / "search" / "cv_results.csv")


def make_tensorboard(folder):
    from torch.utils.tensorboard import SummaryWriter

    for algorithm in ALGORITHMS:
        for seed in SEEDS:
            with SummaryWriter(folder / algorithm / f"seed_{seed}") as writer:
                for epoch in (0, 1):
                    writer.add_scalar("dice", dice(algorithm, seed, 0) - 0.1 * (1 - epoch), epoch)
                    writer.add_scalar("epoch", epoch, epoch)
                writer.add_text("note", "no scalar")


def make_lightning(folder):
    from lightning.pytorch.loggers import CSVLogger

    for algorithm in ALGORITHMS:
        for seed in SEEDS:
            logger = CSVLogger(folder, name=algorithm)
            logger.log_hyperparams({"seed": seed, "lr": 0.1})
            for epoch in (0, 1):
                logger.log_metrics({"train_loss": 1 - epoch / 2, "epoch": epoch}, step=epoch)
                logger.log_metrics({"val_dice": dice(algorithm, seed, 0) - 0.1 * (1 - epoch)},
                                   step=epoch)  # fmt: skip
            logger.save()


def make_hydra(folder):
    (folder / "config.yaml").write_text("model: {name: unet}\nseed: 0\n")
    (folder / "job.py").write_text(
        "import json, hydra\n"
        "from make_files import dice\n"
        "@hydra.main(version_base=None, config_path='.', config_name='config')\n"
        "def main(config):\n"
        "    if config.seed == 1 and config.model.name == 'fcn':\n"
        "        raise ValueError('no memory')\n"
        "    values = [dice(config.model.name, config.seed, 0, case) for case in (0, 1)]\n"
        "    cases = {f'case_{case}': {'dice': value} for case, value in enumerate(values)}\n"
        "    json.dump({'per_case': cases}, open('metrics.json', 'w'))\n"
        "main()\n"
    )
    overrides = ["--multirun", "model.name=unet,fcn", "seed=0,1", "hydra.job.chdir=true",
                 "hydra.sweep.dir=multirun/toy"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent)])}
    subprocess.run([sys.executable, "job.py", *overrides], cwd=folder, env=environment, check=False)
    for file in [folder / "job.py", folder / "config.yaml", *folder.rglob("hydra.yaml"),
                 *folder.rglob("*.log")]:  # fmt: skip
        file.unlink()  # they hold paths and the name of the machine


def make_monai(folder):
    import torch
    from monai.handlers import write_metrics_reports

    for algorithm in ALGORITHMS:
        for seed in SEEDS:
            place = folder / algorithm / f"seed{seed}"
            place.mkdir(parents=True)
            values = torch.tensor([[dice(algorithm, seed, 0, c), dice(algorithm, seed, 0, c) / 2]
                                   for c in (0, 1)])  # fmt: skip
            values[1, 1] = float("nan")
            write_metrics_reports(
                place, [f"/data/case_{c}.nii.gz" for c in (0, 1)], {"mean_dice": values.mean()},
                {"mean_dice": values}, summary_ops="*",
            )  # fmt: skip


def make_huggingface(folder):
    import torch
    from transformers import Trainer, TrainingArguments

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(2, 2)

        def forward(self, x, labels):
            logits = self.linear(x)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    rows = [
        {"x": torch.tensor([float(i % 2), 1.0]), "labels": torch.tensor(i % 2)} for i in range(8)
    ]
    for seed in SEEDS:
        place = folder / "linear" / f"seed_{seed}"
        arguments = TrainingArguments(
            str(place), num_train_epochs=2, seed=seed, report_to=[], save_strategy="no",
            use_cpu=True, disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(Net(), arguments, train_dataset=rows, eval_dataset=rows)
        result = trainer.train()
        trainer.save_metrics("train", result.metrics)
        trainer.save_metrics("eval", trainer.evaluate())
        trainer.save_state()
        for file in place.glob("*"):
            if file.suffix != ".json":
                file.unlink()


def clean(root):
    """Leave out what tells of the machine, and what is large and not read."""
    for file in [*root.rglob("mlflow.source.*"), *root.rglob("mlflow.user"),
                 *root.rglob("requirements.txt"), *root.rglob("debug*.log")]:  # fmt: skip
        file.unlink()
    for file in root.rglob("*.yaml"):
        file.write_text(file.read_text().replace(str(root), "/data"))
    for file in root.rglob("multirun.yaml"):
        file.write_text("# Hydra's own settings are left out.\n")
    for number, file in enumerate(sorted(root.rglob("*tfevents*"))):
        file.rename(file.with_name(f"events.out.tfevents.{number}.node"))
    for file in root.rglob("*.db"):
        with sqlite3.connect(file) as database:
            for statement in ("PRAGMA page_size = 512", "VACUUM"):
                database.execute(statement)
        database.close()


def main():
    root = Path(sys.argv[1]).resolve()
    for name, make in list(globals().items()):
        if name.startswith("make_") and (len(sys.argv) == 2 or name[5:] in sys.argv[2:]):
            folder = root / name[5:]
            folder.mkdir(parents=True)
            os.chdir(folder)
            make(folder)
    clean(root)


if __name__ == "__main__":
    main()
