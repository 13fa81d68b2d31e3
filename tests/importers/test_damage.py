"""Damaged files: whatever stands in them, the answer is a table or a message for people.

``REPROSTATS_MUTATIONS=10000`` repeats it as often for each file.
"""

import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from reprostats import read_results
from reprostats.errors import ReprostatsError
from reprostats.study.results import check_results

FILES = Path(__file__).parent / "files"
N_MUTATIONS = int(os.environ.get("REPROSTATS_MUTATIONS", "5"))
LONG = "model,seed,fold,case,dice,status\n" + "".join(
    f"{model},{seed},{fold},c{fold}{n},0.{8 + n}{seed},ok\n"
    for model in ("unet", "fcn")
    for seed in (0, 1)
    for fold in (0, 1)
    for n in (0, 1)
)
WIDE = ";Patient ID;label;Dice [%];HD95\n1;a;LV;83,5;1,5\n2;a;RV;n/a;inf\n3;mean;mean;83,5;1\n"
LINES = "".join(
    f'{{"model": {{"name": "unet"}}, "seed": {s}, "case": "a", "dice": 0.9{s}}}\n' for s in range(4)
)
SUMMARY = (
    '{"metric_per_case": [{"metrics": {"1": {"Dice": 0.8, "IoU": NaN}, "(2, 3)": {"Dice": 0.7}}, '
    '"reference_file": "/d/a.nii.gz", "prediction_file": "/p/a.nii.gz"}], "mean": {}}'
)
PIECES = ["", ",", ";", '"', "{", "}", "[", "]", ":", "\n", "\t", "NaN", "null", "-1e999", "1e309",
          "0", "9" * 400, "true", "é", "\x00", "\ufeff", "−", "mean", "none", " ", "%", "&a", "*a",
          "!!python/object:os.system", "'", "unet", "{}", "[]", "fold", "seed", "0.5 ± 0.1",
          "2020-01-01", "inf", "\ud800"]  # fmt: skip


def mutated(text, random):
    """Change a text in one to three places."""
    for _ in range(random.integers(1, 4)):
        at, length = random.integers(len(text) + 1), random.integers(0, 12)
        kind = random.integers(4)
        if kind == 0:
            text = text[:at]
        elif kind == 1:
            text = text[:at] + text[at + length :]
        elif kind == 2:
            text = text[:at] + text[at : at + length] * 2 + text[at + length :]
        else:
            text = text[:at] + PIECES[random.integers(len(PIECES))] + text[at + length // 4 :]
    return text


def assert_read_or_refused(path, **answers):
    try:
        results = read_results(path, **answers)
    except ReprostatsError:
        return
    check_results(results.table)
    assert all(results.assumptions)


def _mutate(file, seed, path, **answers):
    whole = file.read_bytes().decode("latin1" if _is_binary(file) else "utf-8")
    random = np.random.default_rng(seed)
    for _ in range(N_MUTATIONS):
        text = mutated(whole, random)
        encoding = "latin1" if _is_binary(file) else "utf-8"
        file.write_bytes(text.encode(encoding, errors="replace"))
        assert_read_or_refused(path, **answers)


def _is_binary(file):
    return file.suffix in (".wandb", ".db", ".parquet") or "tfevents" in file.name


@pytest.mark.parametrize(
    ("name", "text"),
    [("long.csv", LONG), ("wide.csv", WIDE), ("lines.jsonl", LINES), ("summary.json", SUMMARY)],
)
def test_single_files(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    _mutate(file, 1, file)


@pytest.mark.parametrize(
    ("tool", "pattern", "answers"),
    [
        ("mlflow/search_runs.csv", None, {}),
        ("nnunet/Dataset001_Discs", "*/fold_0/validation/summary.json", {}),
        ("nnunet/Dataset001_Discs", "*/dataset.json", {}),
        ("mlflow/mlruns", "*/*/meta.yaml", {}),
        ("mlflow/mlruns", "*/meta.yaml", {}),
        ("mlflow/mlruns", "*/*/metrics/dice", {}),
        ("lightning", "fcn/version_0/metrics.csv", {}),
        ("lightning", "fcn/version_0/hparams.yaml", {}),
        ("hydra", "multirun/toy/0/metrics.json", {}),
        ("hydra", "multirun/toy/0/.hydra/config.yaml", {}),
        ("huggingface", "linear/seed_0/all_results.json", {}),
        ("huggingface", "linear/seed_0/trainer_state.json", {}),
        ("monai", "fcn/seed0/mean_dice_raw.csv", {}),
        ("sklearn", "sgd_seed0.csv", {}),
        ("sklearn", "sgd_seed0.json", {}),
        ("sklearn/search", "cv_results.csv", {}),
        ("optuna/trials.csv", None, {"run": "number"}),
        ("optuna", "study.db", {"run": "number", "fold": "step"}),
        ("tensorboard", "fcn/seed_0/*tfevents*", {}),
        ("wandb", "wandb/*/*.wandb", {}),
    ],
    ids=lambda value: value.replace("/", "-") if isinstance(value, str) else "",
)
def test_files_of_tools(tmp_path, tool, pattern, answers):
    place = tmp_path / Path(tool).name
    if pattern is None:
        shutil.copy(FILES / tool, place)
    else:
        shutil.copytree(FILES / tool, place)
    file = place if pattern is None else next(place.glob(pattern))
    file.chmod(0o644)
    _mutate(file, 2, place, **answers)


@pytest.mark.parametrize("name", ["web.csv", "api.csv", "chart.csv"])
def test_exports_of_wandb(tmp_path, name):
    texts = {
        "web.csv": '"Name","State","Created","Runtime","model","seed","dice"\n'
        '"a","finished","2026","1","unet","0","0.8"\n"b","crashed","2026","1","unet","1",""\n',
        "api.csv": ",summary,config,name\n"
        "0,\"{'dice': 0.8, '_step': 1}\",\"{'model': {'name': 'u'}, 'seed': 0}\",a\n",
        "chart.csv": '"Step","u-s0 - dice","u-s0 - dice__MIN","u-s1 - dice"\n"0","1","1","0.8"\n',
    }
    file = tmp_path / name
    file.write_text(texts[name])
    _mutate(file, 3, file)


@pytest.mark.parametrize(
    "name", ["", "empty.csv", "empty.json", "empty.parquet", "x.wandb", "x.db"]
)
def test_nothing_is_there(tmp_path, name):
    if name:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ReprostatsError):
        read_results(tmp_path / name)


ALIASES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{name}: &{name} {{{', '.join(f'k{n}: *{before}' for n in range(9))}}}\n"
    for before, name in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (ALIASES, "holds more values, or deeper ones"),
        ("a: &a {b: *a}\n", "holds more values, or deeper ones"),
        ("a: " + "[" * 300 + "]" * 300, "holds more values, or deeper ones"),
        ("seed: 0x" + "f" * 5000, "holds a number with more than 4000 digits"),
        ('seed: "\\uD800"\n', "no text that can be written|not valid YAML"),
    ],
)
def test_settings_that_cannot_be_gone_through(tmp_path, held, said):
    """Nine lines of aliases stand for 3 billion values."""
    copy = shutil.copytree(FILES / "hydra" / "multirun", tmp_path / "multirun")
    next(copy.rglob(".hydra/config.yaml")).write_text(held)
    with pytest.raises(ReprostatsError, match=said):
        read_results(copy)


def test_half_a_character(tmp_path):
    """Python's parser of JSON reads it; no file and no terminal takes it."""
    copy = shutil.copytree(FILES / "hydra" / "multirun", tmp_path / "multirun")
    (copy / "toy" / "0" / "metrics.json").write_text('{"dice": 0.5, "\\ud800": 0.1}')
    with pytest.raises(ReprostatsError, match="no text that can be written") as error:
        read_results(copy)
    str(error.value).encode()
    (tmp_path / "api.csv").write_text(
        "summary,config,name\n\"{'dice': 0.5}\",\"{'\\ud800': 1}\",a\n"
    )
    with pytest.raises(ReprostatsError, match="no text that can be written"):
        read_results(tmp_path / "api.csv")


@pytest.mark.parametrize("status", ["[3]", "{a: 1}"])
def test_status_of_mlflow_that_is_none(tmp_path, status):
    copy = shutil.copytree(FILES / "mlflow" / "mlruns", tmp_path / "mlruns")
    file = next(copy.glob("*/*/meta.yaml"))
    file.chmod(0o644)
    file.write_text(re.sub("status: .*", f"status: {status}", file.read_text()))
    assert "MLflow's status is" in read_results(copy).table["reason"].str.cat()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dice, dice\n1,2\n", "two columns are called 'dice'"),
        ("(metric),model,seed,dice\na,unet,0,0.9\n", r"no column can be called '\(metric\)'"),
        ('"' + "x" * 200_000 + '",dice\na,1\n', "is no table of results"),
    ],
)
def test_heads_of_tables(tmp_path, text, said):
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(ReprostatsError, match=said):
        read_results(tmp_path / "results.csv")


@pytest.fixture
def odd_name(tmp_path):
    name = Path(os.fsdecode(os.fsencode(tmp_path) + b"/results/un\xffet"))
    try:
        name.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system takes no such name")
    return name


def test_name_that_is_no_unicode(odd_name):
    text = "seed,dice\n0,0.9\n1,0.8\n"
    (odd_name / "deeper.csv").write_text(text)
    (odd_name.parent / "fcn.csv").write_text(text)
    results = read_results(odd_name.parent)
    assert "lie deeper: files in un\\udcffet." in str(results)
    (odd_name.parent / f"{odd_name.name}.csv").write_text(text)
    for path in (odd_name.parent, odd_name):
        with pytest.raises(ReprostatsError, match="is no UTF-8; rename it") as error:
            read_results(path)
        str(error.value).encode()
