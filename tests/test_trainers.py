"""The trainings of docs/trainers.md are what the page says, line by line and bit by bit."""

import difflib
import functools
import importlib.util
import os
import re
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch

from reprostats import Study
from reprostats.records.record import COMPLETED
from reprostats.sources import STREAMS

DOCS = Path(__file__).parent.parent / "docs"
FILES = DOCS / "trainers"
PAGE = (DOCS / "trainers.md").read_text()
PACKAGES = {"lightning": "lightning", "hugging_face": "transformers", "keras": "keras"}
TRAINERS = sorted(path.stem.removeprefix("with_") for path in FILES.glob("with_*.py"))
by_trainer = pytest.mark.parametrize("trainer", TRAINERS)
# Other people's packages warn of their own affairs.
pytestmark = pytest.mark.filterwarnings("ignore")


def section(trainer):
    """The part of the page that has the file of a trainer."""
    (part,) = (each for each in PAGE.split("\n## ") if f"](trainers/with_{trainer}.py)" in each)
    return part


def block(trainer, language):
    """The one block of code of a language in the section of a trainer."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", section(trainer), flags=re.DOTALL)
    return code


def prepare(trainer):
    """Skip where the package of a trainer is missing; choose a backend of Keras that is there."""
    package = PACKAGES.get(trainer)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: see CONTRIBUTING.md")
    if trainer == "keras" and importlib.util.find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "torch")


def streams_drawn(trainer):
    """The streams from which a trainer draws, by the page's table."""
    (row,) = re.findall(
        rf"^\| \[[^\]]*\]\(#{trainer.replace('_', '-')}\) \|(.*)\|$", PAGE, flags=re.MULTILINE
    )
    cells = dict(zip(STREAMS, (each.strip() for each in row.split("|")), strict=True))
    return {stream for stream, cell in cells.items() if cell != "–"}


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Give the module that a reader gets who runs the file of a trainer, and what it prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPROSTATS_RUNS", str(tmp_path_factory.mktemp("runs")))

        @functools.cache
        def run(trainer):
            prepare(trainer)
            name = f"with_{trainer}"
            place = importlib.util.spec_from_file_location(name, FILES / f"{name}.py")
            module = importlib.util.module_from_spec(place)
            patch.setitem(sys.modules, name, module)
            printed = StringIO()
            with redirect_stdout(printed):
                place.loader.exec_module(module)
            return module, printed.getvalue()

        yield run


def trained(study):
    """Run a study; return the levels and fingerprints of its trials, which must all complete."""
    # One worker, as each loads the packages anew.
    table = study.run(workers=1, progress=False).drop_duplicates("trial")
    assert (table["status"] == COMPLETED).all(), table["reason"].tolist()
    return table


@by_trainer
def test_page_shows_the_lines_that_the_file_has_more(trainer):
    plain = block(trainer, "python").splitlines()
    own = (FILES / f"with_{trainer}.py").read_text().splitlines()
    difference = list(difflib.unified_diff(plain, own, n=1, lineterm=""))[2:]
    assert block(trainer, "diff").splitlines() == difference
    assert f"[{len(own) - len(plain)} lines more](" in section(trainer)
    assert len(own) - len(plain) <= 10


@pytest.mark.slow
@by_trainer
def test_plain_example_trains(trainer, tmp_path, monkeypatch, capsys):
    prepare(trainer)
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "plain.py"
    script.write_text(block(trainer, "python"))
    exec(compile(script.read_text(), script, "exec"), {"__name__": "__main__"})  # noqa: S102
    assert re.search(r"\{'(accuracy|dice)': ", capsys.readouterr().out)


@pytest.mark.slow
@by_trainer
def test_equal_seeds_give_equal_bits_and_other_seeds_other_weights(trainer, examples):
    module, printed = examples(trainer)
    table = trained(module.study)
    of_each = table.groupby("init")["weights_sha256"]
    assert list(of_each.size()) == [2, 2, 2]
    assert list(of_each.nunique()) == [1, 1, 1]
    assert table["weights_sha256"].nunique() == 3
    assert (
        "Is train repeatable bit for bit? Yes. 6 trials in 3 groups with equal levels gave the "
        "same weights within each group."
    ) in printed


@pytest.mark.slow
@by_trainer
def test_each_stream_moves_the_weights_by_itself(trainer, examples):
    """One seed is changed at a time: that of a stream which nothing draws from changes nothing."""
    module, _ = examples(trainer)
    first = dict.fromkeys(STREAMS, 0)
    settings = [first, *({**first, stream: 1} for stream in STREAMS)]
    # In the folder of the example's own study, where the first of them is recorded already.
    table = trained(Study(module.train, varied=settings))
    others = table[STREAMS].idxmax(axis=1)[table[STREAMS].any(axis=1)]
    (weights,) = table["weights_sha256"].drop(others.index)
    moved = others[table["weights_sha256"][others.index] != weights]
    assert set(moved) == streams_drawn(trainer)


@pytest.mark.slow
def test_transforms_of_monai_do_not_repeat_with_the_loader_of_pytorch(
    examples, tmp_path, monkeypatch
):
    module, _ = examples("monai")
    monkeypatch.setattr(module, "DataLoader", torch.utils.data.DataLoader)
    table = trained(Study(module.train, repeats=2, folder=tmp_path))
    assert table["weights_sha256"].nunique() == 2


@pytest.mark.slow
def test_hugging_face_holds_dropout_still_unless_it_is_given_a_seed(
    examples, tmp_path, monkeypatch
):
    module, _ = examples("hugging_face")
    arguments = module.TrainingArguments
    monkeypatch.setattr(module, "TrainingArguments", lambda seed, **rest: arguments(**rest))  # noqa: ARG005
    table = trained(Study(module.train, varied={"dropout": [0, 1]}, folder=tmp_path))
    assert table["weights_sha256"].nunique() == 1


def test_hugging_face_orders_samples_alike_in_neighbouring_seeds():
    loader = pytest.importorskip("accelerate.data_loader", reason="needs accelerate")
    first, second = (loader.SeedableRandomSampler(range(9), data_seed=n) for n in (0, 1))
    list(first)  # epoch 0
    assert list(first) == list(second)


@pytest.mark.slow
def test_seed_everything_holds_dropout_still(examples, tmp_path, monkeypatch):
    module, _ = examples("lightning")
    points, seed_everything = module.points, module.lightning.seed_everything

    def seeded(number, seed):
        seed_everything(0)
        return points(number, seed)

    monkeypatch.setattr(module, "points", seeded)
    table = trained(Study(module.train, varied={"dropout": [0, 1]}, folder=tmp_path))
    assert table["weights_sha256"].nunique() == 1
