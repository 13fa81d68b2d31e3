import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from reprostats import Study


def sentences(number, seed):
    words = torch.randint(2, 50, (number, 8), generator=torch.Generator().manual_seed(seed))
    labels = (words[:, 0] > 25).long()
    return [{"input_ids": each, "labels": label} for each, label in zip(words, labels, strict=True)]


def accuracy(evaluation):
    answers = evaluation.predictions.argmax(axis=1)
    return {"accuracy": (answers == evaluation.label_ids).mean()}


def train(trial):
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with trial.stream("init"):
        model = BertForSequenceClassification(BertConfig(vocab_size=50, **size))
    arguments = TrainingArguments(
        output_dir=trial.folder,
        seed=int(trial.generator("dropout").integers(2**32)),
        data_seed=int(trial.generator("batch_order").integers(2**32)),
        num_train_epochs=2,
        learning_rate=0.003,
        per_device_train_batch_size=20,
        report_to="none",
        use_cpu=True,
    )
    trainer = Trainer(model, arguments, train_dataset=sentences(200, 0), compute_metrics=accuracy)
    trainer.train()
    trial.keep("weights", model.state_dict())
    return {"accuracy": trainer.evaluate(sentences(100, 1))["eval_accuracy"]}


streams = ["init", "batch_order", "dropout"]
study = Study(train, varied=[dict.fromkeys(streams, n) for n in range(3)], repeats=2)
study.run()
print(study.report(metric="accuracy", trivial_value=0.5))
