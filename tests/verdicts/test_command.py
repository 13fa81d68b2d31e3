"""``reprostats verdict``: a folder or a file in, a verdict out."""

import pytest

from reprostats import Study
from reprostats.cli import main
from tests.study import trials
from tests.verdicts.results import results


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "results.csv"
    results().to_csv(path, index=False)
    return path


def test_of_a_file(table, tmp_path, capsys):
    page = tmp_path / "page"
    arguments = ["--metric", "dice", "--margin", "0.01", "--out", str(page)]
    assert main(["verdict", str(table), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "Is U-Net better than FCN, for new trainings on these cases? Yes." in printed
    assert (page / "report.html").is_file()


def test_of_the_folder_of_a_study(tmp_path, capsys):
    study = Study(trials.streams, varied={"init": [1, 2]}, folder=tmp_path)
    study.run(workers=1, progress=False)
    place = tmp_path / "trials" / study.trials[0].identity / "lightning_logs" / "version_0"
    place.mkdir(parents=True)
    (place / "metrics.csv").write_text("epoch,step,val_dice\n0,9,0.5\n")
    (place / "hparams.yaml").write_text("{}\n")
    assert main(["verdict", str(tmp_path), "--metric", "init"]) == 0
    assert "All 2 trials completed" in capsys.readouterr().out


def test_unseeded_function_is_not_called_repeatable(tmp_path, capsys):
    Study(trials.global_draws, fixed={"dropout": 0}, repeats=2, folder=tmp_path).run(
        workers=1, progress=False
    )
    assert main(["verdict", str(tmp_path), "--metric", "torch"]) == 0
    printed = capsys.readouterr().out
    assert "Is global_draws repeatable bit for bit? Undetermined." in printed


def test_names_stay_names(tmp_path, capsys):
    path = tmp_path / "results.csv"
    results(means={"007": 0.9, "7": 0.8}).to_csv(path, index=False)
    assert main(["verdict", str(path), "--metric", "dice"]) == 0
    assert "Is 007 better than 7," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("trial,metric\n1,dice\n", "no column holds numbers that could be a metric"),
        ('trial,metric,value\n1,dice,"0,9"\n', "row 0, column value: '0,9' is no number"),
    ],
)
def test_bad_file_is_one_message(tmp_path, capsys, content, message):
    path = tmp_path / "results.csv"
    path.write_text(content)
    assert main(["verdict", str(path), "--metric", "dice"]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_missing_path(tmp_path, capsys):
    assert main(["verdict", str(tmp_path / "none.csv"), "--metric", "dice"]) == 1
    assert "none.csv: there is no such file or folder" in capsys.readouterr().err


def test_parquet(tmp_path, capsys):
    path = tmp_path / "results.parquet"
    results().assign(fold=0).to_parquet(path)
    assert main(["verdict", str(path), "--metric", "dice"]) == 0
    path.write_bytes(b"PAR1 damaged")
    assert main(["verdict", str(path), "--metric", "dice"]) == 1
    assert "is no table of results" in capsys.readouterr().err
