"""A study in a file: short for a script as it is, and every mistake with its place."""

import contextlib
from pathlib import Path

import pytest

from reprostats.cli import main
from reprostats.study.study_file import read_study_file
from reprostats.yaml_files.mistakes import YamlFileError
from tests.study.commands import PYTHON, SEEDED

SHORT = f"""
command: {PYTHON} train.py --seed {{init}} --out {{folder}} --rate {{rate}}
metrics: metrics.json
config: {{rate: 0.1}}
varied: {{init: [0, 1, 2], rate: [0.1, 0.2]}}
repeats: 2
keep: [weights.bin]
metric: test.dice
margin: 0.01
higher_is_better: true
"""
SHELL = "command: sh -c 'echo dice 0.5'\nmetrics: {pattern: 'dice (?P<dice>.*)'}\nmetric: dice\n"


@pytest.fixture(scope="module")
def working_folder(tmp_path_factory):
    """One folder for all tests: a study that runs from another one needs a fork server more."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "train.py").write_text(SEEDED)
    return folder


@pytest.fixture
def folder(working_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path / "runs"))
    return working_folder


@pytest.fixture
def mistakes(folder):
    def found(text: str) -> list[str]:
        (folder / "study.yaml").write_text(text)
        with contextlib.chdir(folder), pytest.raises(YamlFileError) as error:
            read_study_file(Path("study.yaml"))
        return [str(each).removeprefix("study.yaml:") for each in error.value.mistakes]

    return found


def written(folder: Path, text: str) -> str:
    (folder / "study.yaml").write_text(text)
    return str(folder / "study.yaml")


def test_twelve_lines_end_in_a_page(folder, tmp_path, capsys):
    assert SHORT.count("\n") <= 12
    path = written(folder, SHORT)
    assert main(["study", path, "--plan-only"]) == 0
    plan = capsys.readouterr().out
    assert "Part of the identity of every trial: train.py." in plan
    assert plan.count("to run    ") == 12
    assert "--seed 2 --out" in plan
    assert "12 trials; 0 recorded, 12 to run." in plan
    assert not list(tmp_path.iterdir())
    assert main(["study", path]) == 0
    printed = capsys.readouterr()
    assert "12/12" in printed.err
    assert "Is rate=0.1 repeatable bit for bit? Yes." in printed.out
    page = tmp_path / "runs" / "reports" / "study" / "report.html"
    assert printed.out.splitlines()[-1] == str(page)
    assert page.is_file()
    assert main(["study", path, "--plan-only"]) == 0
    assert "12 trials; 12 recorded, 0 to run." in capsys.readouterr().out


def test_out_retry_and_conditions(folder, tmp_path, capsys):
    text = SHELL + "conditions: {one: {repeats: 2}, other: {fixed: {threads: 1}, repeats: 1}}\n"
    assert main(["study", written(folder, text), "--out", str(tmp_path / "page"), "--retry"]) == 0
    assert (tmp_path / "page" / "report.html").is_file()
    assert "Is one repeatable bit for bit? Yes." in capsys.readouterr().out


def test_note_of_a_seed_that_reaches_nothing(folder, capsys):
    path = written(folder, SHELL + "varied: {init: [1, 2]}\n")
    assert main(["study", path]) == 0
    out = capsys.readouterr().out
    assert "\nnote: varied, but not used by the command as far as can be told: init." in out


def test_trials_of_an_edited_script_are_adopted_on_request(folder, capsys):
    script = folder / "count.py"
    script.write_text("open('runs', 'a').write('x')\nprint('dice', 0.5)\n")
    text = SHELL.replace("sh -c 'echo dice 0.5'", f"{PYTHON} count.py")
    path, runs = written(folder, text), folder / "runs"
    assert main(["study", path]) == 0
    script.write_text(script.read_text() + "# more words\n")
    capsys.readouterr()
    assert main(["study", path, "--adopt"]) == 0
    assert runs.read_text() == "x"
    assert "adopted" in capsys.readouterr().out
    script.write_text(script.read_text() + "# and more\n")
    assert main(["study", path]) == 0
    assert runs.read_text() == "xx"
    assert "--adopt on the command line" in capsys.readouterr().out


def test_the_first_failure_stops_it_unless_it_is_to_keep_going(folder, capsys):
    program = "sh -c 'echo x >> tried; exit {init}'"
    text = SHELL.replace("sh -c 'echo dice 0.5'", program) + "varied: {init: [3, 4, 5]}\n"
    path, tried = written(folder, text), folder / "tried"
    assert main(["study", path, "--workers", "1"]) == 1
    assert "--keep-going" in capsys.readouterr().err
    before = tried.read_text().count("x")
    assert before < 3
    assert main(["study", path, "--workers", "1", "--keep-going"]) == 1
    assert tried.read_text().count("x") == 3


def test_no_trial_that_completes_is_said(folder, capsys):
    text = "command: sh -c 'exit 3'\nmetrics: metrics.json\nmetric: dice\n"
    assert main(["study", written(folder, text)]) == 1
    assert "exit code 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SHELL + "repeat: 2\n", "4:1: repeat: there is no field 'repeat'; did you mean 'repeats'?"),
        (SHELL.replace("0.5'", "{nit}'"), "1:10: command: command[2]: unknown placeholder 'nit'"),
        (SHELL.replace("sh -c", "no-such"), "1:10: command: there is no program"),
        (SHELL.replace("(?P<dice>.*)", "("), "2:10: metrics: no regular expression"),
        (SHELL.replace("(?P<dice>.*)", "x"), "2:10: metrics: the pattern 'dice x' has no"),
        (SHELL + "fixed: {threads: 0}\n", "4:18: fixed.threads: source 'threads' has no level 0"),
        (SHELL + "fixed: {tread: 0}\n", "4:16: fixed.tread: unknown source of variability 'tread'"),
        (SHELL + "fixed: {seed: 0}\n", "4:15: fixed.seed: unknown source of variability 'seed'"),
        (SHELL + "varied: {init: [1, -1]}\n", "4:20: varied.init[2]: source 'init' has no"),
        (SHELL + "varied: {sead: [1]}\n", "4:9: varied: varied['sead'] is neither a source"),
        (SHELL + "varied:\n- {init: a}\n", "5:10: varied[1].init: source 'init' has no level 'a'"),
        (SHELL + "files: [none.txt]\n", "4:9: files[1]: 'none.txt' names no file"),
        (SHELL + "time_limit: -1\n", "4:13: time_limit: time_limit must be a number"),
        (SHELL + "fixed: {tf32: false}\n", "4:15: fixed.tf32: source 'tf32' acts inside the"),
        (SHELL + "repeats: two\n", "4:10: repeats: 'two' is not an integer"),
        (SHELL.replace("metric: dice\n", ""), "the field 'metric' is missing"),
        (SHELL + "conditions:\n  a: {fixed: {isa: x}}\n", "5:20: conditions.a.fixed.isa: source"),
        (SHELL + "folds: 0\n", "4:8: folds: folds must be an integer from 1, or None, not 0"),
        (SHELL + "name: a/b\n", "4:7: name: a study's name is the name of a folder, not 'a/b'"),
        (SHELL + "conditions: {a: {}}\nrepeats: 2\n", "4:13: conditions: give varied and repeats"),
        (SHELL + "folds: 2\n", "4:8: folds: the command has no placeholder {fold}"),
        ("- 1", "1:1: this is no study"),
        ("a: [", "this is not YAML"),
    ],
)  # fmt: skip
def test_mistake_has_a_place(mistakes, text, said):
    assert any(said in each for each in mistakes(text)), mistakes(text)


def test_several_mistakes_at_once(mistakes):
    text = SHELL + "fixed: {threads: 0}\nkeep: [../x]\ntime_limit: 0\n"
    assert len(mistakes(text)) == 3


def test_missing_file(folder, capsys):
    assert main(["study", str(folder / "none.yaml")]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert main(["study", str(folder / "nowhere" / "none.yaml")]) == 1
    assert "there is no such folder" in capsys.readouterr().err
