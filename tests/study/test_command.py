"""Any program as a trial: what it is given, what is read of it, and how it may end."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from reprostats import Study
from reprostats.errors import InputError, NotAvailableError
from reprostats.sources import instruction_sets
from reprostats.study.pool import WorkerError
from tests.study import trials
from tests.study.commands import command_study, ran, seeded_study

DICE = re.compile(r"dice: (?P<dice>\S+)")


def shell(folder: Path, script: str, metrics="metrics.json", **settings) -> Study:
    return command_study(folder, ["sh", "-c", script], metrics, **settings)


def values(results, metric: str) -> list[float]:
    return results[results["metric"] == metric]["value"].tolist()


def reason(results, repeat: int) -> tuple[str, str]:
    """Return status and reason of a trial, by its repeat."""
    first = results[results["repeat"] == repeat].iloc[0]
    return first["status"], first["reason"]


def test_the_python_of_the_study_has_a_placeholder(tmp_path):
    study = seeded_study(tmp_path)
    script = ["{python}", "train.py", "--seed", "{init}", "--out", "{folder}"]
    other = command_study(tmp_path, script)
    assert ran(other)["value"].tolist() == ran(study)["value"].tolist()
    own = other.function.own_environment()
    assert own == {"program": sys.executable}


class TestWhatItIsGiven:
    def test_seed_and_folder_by_placeholder_and_bits_are_judged(self, tmp_path):
        study = seeded_study(tmp_path, varied={"init": [1, 2]}, repeats=2, keep=["weights.bin"])
        results = ran(study)
        rows = results[results["metric"] == "test.dice"].set_index("init")
        assert values(results, "epochs") == [3.0] * 4
        assert rows["weights.bin_sha256"].groupby("init").nunique().tolist() == [1, 1]
        assert rows["weights.bin_sha256"].nunique() == rows["value"].nunique() == 2
        trial = study.trials[0]
        kept = study.folder / "trials" / trial.identity / "weights.bin"
        digest = sha256(kept.read_bytes()).hexdigest()
        assert study.record(trial.identity).fingerprints == {"weights.bin": digest}

    def test_environment_is_set_around_it(self, tmp_path, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED", "ATEN_CPU_CAPABILITY",
                 "CUBLAS_WORKSPACE_CONFIG", "REPROSTATS_SEED_INIT", "REPROSTATS_SEED_BATCH_ORDER",
                 "REPROSTATS_FOLDER", "OWN", "FLAG"]  # fmt: skip
        isa = "baseline" if "baseline" in instruction_sets() else "native"
        told = 'printf \'{{"x": 1}}\' > "$REPROSTATS_FOLDER/metrics.json"; env > {folder}/env.txt'
        study = shell(
            tmp_path, told, config={"rate": 0.5},
            env={"OWN": "rate {rate} of {threads}", "FLAG": "{deterministic}"},
            fixed={"threads": 2, "hash_seed": 5, "isa": isa, "init": 4, "batch_order": 6,
                   "deterministic": True},
        )  # fmt: skip
        assert set(ran(study)["status"]) == {"ok"}
        folder = study.folder / "trials" / study.trials[0].identity
        lines = (folder / "env.txt").read_text().splitlines()
        given = dict(line.split("=", 1) for line in lines if "=" in line)
        assert [given.get(name) for name in names] == [
            "2", "2", "5", "default" if isa == "baseline" else None, ":4096:8", "4", "6",
            str(folder), "rate 0.5 of 2", "true",
        ]  # fmt: skip

    def test_config_repeat_fold_and_braces(self, tmp_path):
        script = 'echo "{{ {widths} {word} {repeat} {fold}"; echo dice: 1'
        study = shell(tmp_path, script, DICE, config={"widths": [8, 16], "word": "a b"}, folds=2)
        ran(study)
        (log,) = (study.folder / "trials" / study.planned["tried"][1].identity).glob("log.txt")
        assert "\n{ [8, 16] a b 0 1\n" in log.read_text()

    def test_runs_where_the_study_was_made(self, tmp_path):
        study = shell(tmp_path, "pwd; echo dice: 1", DICE)
        ran(study)
        log = study.folder / "trials" / study.trials[0].identity / "log.txt"
        assert log.read_text().splitlines()[1] == str(tmp_path)

    def test_drawn_seed_is_recorded_and_fits_other_languages(self, tmp_path):
        study = shell(tmp_path, "echo dice: {init}", DICE, fixed={"init": "os"}, repeats=3)
        results = ran(study)
        seeds = [study.record(each.identity).seeds["init"] for each in study.trials]
        assert values(results, "dice") == seeds
        assert len(set(seeds)) == 3
        assert max(seeds) < 2**31

    def test_what_cannot_reach_it_is_not_claimed(self, tmp_path, monkeypatch):
        # Nor does the shell reach the variables of a source that the command does not know.
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
        study = shell(tmp_path, "echo dice: 1$CUBLAS_WORKSPACE_CONFIG", DICE)
        results = ran(study)
        assert values(results, "dice") == [1]
        record = study.record(study.trials[0].identity)
        assert record.effective == {}
        assert set(record.levels) == {
            "init", "batch_order", "augmentation", "dropout", "split", "threads", "isa", "hash_seed"
        }  # fmt: skip
        assert results[["deterministic", "dtype", "tf32"]].isna().all(axis=None)
        assert record.used == []


METRICS = [
    '{"dice": 0.5}',
    '{"dice": "high"}',
    '{"dice": NaN}',
    '{"dice": 0.5, "dice": 0.6}',
    '{"test": [{"case": "a", "dice": 0.5}, {"case": "b", "dice": null}], "loss": 2}',
    '{"test": [{"dice": 0.5}]}',
    '{"dice": true}',
    "{}",
    "[]",
    "dice: 0.5",
    "0.5",
    '[{"case": "a", "dice": 0.5}, {"case": "a", "dice": 0.6}]',
    '{"dice": "0.5"}',
]
TABLES = [
    "dice,loss\n0.5,2\n",
    "case,dice\na,0.5\nb,NA\n",
    "case,dice\na,0.5\na,0.6\n",
    "epoch,dice\n1,0.5\n2,0.6\n",
    "dice\nhigh\n",
    '"","dice"\n"1",0.5\n',
    "dice,loss\n0.5\n",
    "dice\n",
    "",
    'dice\n"0.5\n',
    "dice,dice\n0.5,0.6\n",
]


def written(folder: Path, contents: list[str], suffix: str):
    """Run a command that leaves one of several files as its metrics, by its repeat."""
    for number, content in enumerate(contents):
        (folder / f"{number}{suffix}").write_text(content)
    script = f"cp {{repeat}}{suffix} {{folder}}/metrics{suffix}"
    return ran(shell(folder, script, f"metrics{suffix}", repeats=len(contents)))


@pytest.fixture(scope="module")
def from_json(tmp_path_factory):
    return written(tmp_path_factory.mktemp("json"), METRICS, ".json")


@pytest.fixture(scope="module")
def from_csv(tmp_path_factory):
    return written(tmp_path_factory.mktemp("csv"), TABLES, ".csv")


class TestMetrics:
    @pytest.mark.parametrize(
        ("number", "status", "said"),
        [
            (0, "ok", ""),
            (1, "failed", "metrics.json: metric 'dice' is 'high', which is no number"),
            (2, "diverged", "metric 'dice' has no finite value"),
            (3, "failed", "metric 'dice': there are 2 values"),
            (4, "ok", ""),
            (5, "failed", "record 1 of 'test' must be a mapping with the name of its 'case'"),
            (6, "failed", "metric 'dice' is True, which is no number"),
            (7, "failed", "holds no metric"),
            (8, "failed", "holds no metric"),
            (9, "failed", "metrics.json: is no JSON (Expecting value: line 1 column 1"),
            (10, "failed", "must hold numbers by name, not 0.5"),
            (11, "failed", "metric 'dice', case 'a': there are 2 values"),
            (12, "failed", "metric 'dice' is '0.5', which is no number"),
        ],
    )
    def test_of_json(self, from_json, number, status, said):
        found = reason(from_json, number)
        assert found[0] == status
        assert said in found[1]

    @pytest.mark.parametrize(
        ("number", "status", "said"),
        [
            (0, "ok", ""),
            (1, "ok", ""),
            (2, "failed", "metric 'dice', case 'a': there are 2 values"),
            (3, "failed", "has 2 rows and no column 'case': which of them counts?"),
            (4, "failed", "metrics.csv: metric 'dice' is 'high', which is no number"),
            (5, "ok", ""),
            (6, "failed", "row 2 has 1 cells, but the header 2"),
            (7, "failed", "holds no metric"),
            (8, "failed", "holds no metric"),
            (9, "failed", "is no table"),
            (10, "failed", "metric 'dice': there are 2 values"),
        ],
    )
    def test_of_csv(self, from_csv, number, status, said):
        found = reason(from_csv, number)
        assert found[0] == status
        assert said in found[1]

    def test_cases_are_rows(self, from_json, from_csv):
        nested = from_json[from_json["repeat"] == 4].set_index(["metric", "case"])["value"]
        assert nested["test.dice", "a"] == 0.5
        assert nested[["test.dice"]].isna().tolist() == [False, True]
        assert nested["loss", "all"] == 2
        flat = from_csv[from_csv["repeat"] == 1]
        assert flat["case"].tolist() == ["a", "b"]
        assert flat["value"].isna().tolist() == [False, True]

    def test_last_match_of_a_pattern_counts(self, tmp_path):
        script = (
            "printf 'dice: 0.1\\rdice: 0.2\\nloss=3\\n'; printf 'dice: 0.9' 1>&2;"
            " [ {repeat} = 1 ] || printf ' loss=4'"
        )
        pattern = re.compile(r"dice: (?P<dice>[0-9.]+)|loss=(?P<loss>\d)")
        results = ran(shell(tmp_path, script, pattern, repeats=2))
        assert values(results, "dice") == [0.9, 0.9]
        assert values(results, "loss") == [4, 3]

    def test_pattern_without_a_match_and_text(self, tmp_path):
        script = "[ {repeat} = 0 ] && echo nothing || echo dice: high"
        results = ran(shell(tmp_path, script, DICE, repeats=2))
        assert "no line of the output matches the pattern of 'dice'" in reason(results, 0)[1]
        assert reason(results, 1)[1] == "the output: metric 'dice' is 'high', which is no number."

    def test_missing_file_and_one_in_the_working_folder(self, tmp_path):
        study = shell(tmp_path, "[ {repeat} = 0 ] || echo '{{}}' > metrics.json", repeats=2)
        results = ran(study)
        status, said = reason(results, 0)
        assert status == "failed"
        assert said.startswith("the command ended well but wrote no metrics.json to the folder of")
        assert f"the one in {tmp_path} is no trial's own" in reason(results, 1)[1]

    def test_one_bad_trial_leaves_the_others(self, from_json):
        assert (from_json["status"] == "ok").sum() == 4


class TestIdentity:
    def test_script_is_part_of_it(self, tmp_path):
        before = seeded_study(tmp_path)
        assert list(before.files) == ["train.py"]
        script = tmp_path / "train.py"
        script.write_text(script.read_text() + "\n# other\n")
        after = seeded_study(tmp_path)
        assert before.trials[0].identity != after.trials[0].identity

    def test_the_folder_is_not(self, tmp_path):
        studies = []
        for name in ("here", "there"):
            (tmp_path / name).mkdir()
            studies.append(seeded_study(tmp_path / name))
        assert studies[0].trials[0].identity == studies[1].trials[0].identity

    @pytest.mark.parametrize(
        "changed",
        [
            {"keep": ["weights.bin"]},
            {"metrics": "other.json"},
            {"env": {"A": "1"}},
            {"files": ["data"]},
        ],
    )
    def test_each_setting_is_part_of_it(self, tmp_path, changed):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a.txt").write_text("1")
        one, other = seeded_study(tmp_path), seeded_study(tmp_path, **changed)
        assert one.trials[0].identity != other.trials[0].identity

    def test_data_by_path_folder_and_glob(self, tmp_path):
        for name in ("data/a.txt", "data/deep/b.txt", "data/__pycache__/c.pyc", "d.csv", "e.csv"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        study = seeded_study(tmp_path, files=["data", "*.csv"])
        names = ["d.csv", "data/a.txt", "data/deep/b.txt", "e.csv", "train.py"]
        assert list(study.files) == names

    def test_arguments_that_are_files(self, tmp_path):
        for name in ("fit.sh", "labels.csv", "a.yaml"):
            (tmp_path / name).write_text("")
        (tmp_path / "fit.sh").chmod(0o755)
        command = ["./fit.sh", "labels.csv", "--config=a.yaml", "none.csv", "{folder}"]
        assert list(command_study(tmp_path, command).files) == ["a.yaml", "fit.sh", "labels.csv"]
        assert command_study(tmp_path, ["sh", "fit.sh", "{folder}"], name=None).name == "fit"
        inside = command_study(tmp_path, ["sh", "-c", "./fit.sh {folder} < labels.csv"])
        assert list(inside.files) == ["fit.sh", "labels.csv"]
        assert list(command_study(tmp_path, [sys.executable, "{folder}"]).files) == []

    def test_missing_file_is_refused_before_anything_runs(self, tmp_path):
        for pattern in ("none.txt", "*.none"):
            with pytest.raises(InputError, match=r"files: '.*none.*' names no file in"):
                seeded_study(tmp_path, files=[pattern])
        assert not (tmp_path / "study").exists()

    def test_records_of_the_study_are_no_part_of_it(self, tmp_path):
        script = "echo dice: 1"
        (tmp_path / "labels.txt").write_text("")
        before = shell(tmp_path, script, DICE, files=["."])
        ran(before)
        after = shell(tmp_path, script, DICE, files=["."])
        assert before.trials[0].identity == after.trials[0].identity

    def test_files_of_a_function(self, tmp_path):
        labels = tmp_path / "labels.txt"
        labels.write_text("1")
        one = Study(trials.constant, folder=tmp_path / "s", files=[labels])
        labels.write_text("2")
        other = Study(trials.constant, folder=tmp_path / "s", files=[labels])
        assert one.trials[0].identity != other.trials[0].identity
        plain = Study(trials.constant, folder=tmp_path / "s")
        assert plain.trials[0].identity not in {one.trials[0].identity, other.trials[0].identity}

    def test_file_edited_after_the_plan_is_not_run_under_the_old_identity(self, tmp_path):
        study = seeded_study(tmp_path)
        (tmp_path / "train.py").write_text("raise SystemExit")
        with pytest.raises(WorkerError, match=r"train\.py changed since the study was planned"):
            ran(study)
        assert study.results().empty

    def test_touched_file_with_the_same_content_runs(self, tmp_path):
        study = seeded_study(tmp_path)
        os.utime(tmp_path / "train.py")
        assert set(ran(study)["status"]) == {"ok"}


class TestBadInput:
    @pytest.mark.parametrize(
        ("command", "settings", "message"),
        [
            (["sh", "{foldr}"], {}, r"command\[1\]: unknown placeholder 'foldr'; did you mean"),
            (["sh", "{seed}"], {}, r"each random stream has a seed of its own; write \{init\}, "),
            (["sh", "{init"], {}, r"command\[1\]: '\{init': .*; write \{\{ and \}\}"),
            (["sh", "{init:d}"], {}, "a placeholder is a name in braces"),
            (["sh", '{"a": 1}'], {}, "a placeholder is a name in braces"),
            (["sh"], {"env": {"A": "{nothing}"}}, r"env\['A'\]: unknown placeholder 'nothing'"),
            ([], {}, "command must list a program"),
            (["sh", 1], {}, "command must list a program"),
            ("sh 'a", {}, "No closing quotation"),
            (["sh"], {"config": {"rate": 1}}, r"no placeholder \{rate\}"),
            (["sh", "{init}"], {"config": {"init": 1}}, r"the placeholder \{init\} has another"),
            (["sh"], {"folds": 2}, r"no placeholder \{fold\}"),
            (["sh", "{fold}"], {}, "the study has no folds"),
            (["sh"], {"fixed": {"deterministic": True}}, "cannot reach a command"),
            (["sh"], {"varied": {"dtype": ["float32", "float16"]}}, "cannot reach a command"),
            (["sh"], {"varied": {"seed": [1, 2]}}, "name init, batch_order, augmentation, dropout"),
            (["sh"], {"keep": "weights.pt"}, "keep must list paths"),
            (["sh"], {"keep": ["../weights.pt"]}, "inside the folder of the trial"),
            (["sh"], {"metrics": "/metrics.json"}, "inside the folder of the trial"),
            (["sh"], {"metrics": "metrics.txt"}, "metrics must be a file of JSON or CSV"),
            (["sh"], {"metrics": re.compile("dice")}, "has no named group"),
            (["sh"], {"env": {"A": 1}}, "env must be a mapping from name to text"),
            (["sh"], {"files": "train.py"}, "files must be a list"),
            (["sh"], {"time_limit": 0}, "time_limit must be a number"),
        ],
    )  # fmt: skip
    def test_is_refused_before_anything_runs(self, tmp_path, command, settings, message):
        with pytest.raises(InputError, match=message):
            command_study(tmp_path, command, **settings)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("program", ["no-such-program", "./none.sh", "./plain.txt"])
    def test_program_that_is_not_there(self, tmp_path, program):
        (tmp_path / "plain.txt").write_text("")
        with pytest.raises(NotAvailableError, match="there is no program"):
            command_study(tmp_path, [program])
        command_study(tmp_path, [program], remote=True)

    def test_command_cannot_be_traced(self, tmp_path):
        study = shell(tmp_path, "true", repeats=2)
        one, other = (trial.identity for trial in study.trials)
        with pytest.raises(InputError, match="cannot be traced"):
            study.first_divergence(one, other)


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """All ways to end badly in one study."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "faulty.sh").write_text(FAULTY)
    command = ["sh", "faulty.sh", "{repeat}", "{folder}"]
    study = command_study(folder, command, DICE, repeats=7, time_limit=2)
    return study, ran(study, workers=2)


FAULTY = """
echo begun
case $1 in
    1) echo 'no mask for image 7' 1>&2; echo; echo 'cannot go on'; exit 3 ;;
    2) kill -9 $$ ;;
    3) sleep 100 & setsid sleep 101 & echo hangs; wait ;;
    4) setsid sh -c 'echo $$ > "$0/pid"; exec sleep 102' "$2" &
       while [ ! -s "$2/pid" ]; do :; done ;;
    5) sleep 103 & exec 1>&- 2>&- ;;
    6) setsid sleep 106 & kill -9 $(awk '/^PPid/ {print $2}' /proc/$PPID/status); sleep 107 ;;
esac
echo dice: 0.5
"""


class TestEnds:
    @pytest.mark.parametrize(
        ("repeat", "status", "said"),
        [
            (0, "ok", ""),
            (1, "failed", "exit code 3; its last lines: begun | no mask for image 7"),
            (2, "killed", "the command was ended by signal 9 (Killed); the system does this"),
            (3, "timeout", "ran past its time limit of 2 s"),
            (4, "ok", ""),
            (5, "failed", "exit code 1"),
            (6, "killed", "its worker process ended with signal 9"),
        ],
    )  # fmt: skip
    def test_is_a_row_with_status_and_reason(self, faults, repeat, status, said):
        found = reason(faults[1], repeat)
        assert found[0] == status
        assert said in found[1]

    @pytest.mark.usefixtures("faults")
    def test_nothing_is_left_running(self):
        assert not running("sleep 10")

    def test_child_with_a_session_of_its_own_is_ended_too(self, faults):
        study, _ = faults
        trial = next(each for each in study.trials if each.repeat == 4)
        process = (study.folder / "trials" / trial.identity / "pid").read_text()
        assert not psutil.pid_exists(int(process))

    def test_log_of_a_command_that_hangs_is_there(self, faults):
        study, _ = faults
        trial = next(each for each in study.trials if each.repeat == 3)
        log = (study.folder / "trials" / trial.identity / "log.txt").read_text()
        assert log.splitlines()[1:] == ["begun", "hangs"]

    def test_grandchild_that_holds_the_output_delays_nothing(self, tmp_path):
        study = shell(tmp_path, "sleep 104 & echo dice: 1", DICE)
        results = ran(study)
        assert values(results, "dice") == [1]
        assert results["trial_time"].max() < 10
        assert not running("sleep 104")

    def test_flood_of_output_keeps_the_first_and_the_last(self, tmp_path):
        flood = "echo first; yes 'a line of the middle' | head -c 40000000; echo dice: 0.5"
        study = shell(tmp_path, flood, DICE)
        assert values(ran(study), "dice") == [0.5]
        log = study.folder / "trials" / study.trials[0].identity / "log.txt"
        text = log.read_text()
        assert len(text) < 3.2 * 2**20
        assert text.splitlines()[1] == "first"
        assert text.endswith("dice: 0.5\n")
        dropped = re.search(r"\n\[(\d+) bytes of the output are left out here\]\n", text)
        assert 40_000_000 - 3.2 * 2**20 < int(dropped[1]) < 40_000_000

    @pytest.mark.slow
    def test_killed_in_the_middle_runs_again_from_an_empty_folder(self, tmp_path):
        script = (
            "ls {folder}; echo x >> {folder}/ran; [ -e again ] || {{ echo > {folder}/started;"
            " sleep 105; }}; echo dice: 0.5"
        )
        program = (
            "from tests.study.test_command import *\n"
            f"shell(Path({str(tmp_path)!r}), {script!r}, DICE, keep=['ran']).run("
            "workers=1, progress=False)"
        )
        process = subprocess.Popen([sys.executable, "-c", program])
        wait_for(lambda: list(tmp_path.glob("study/trials/*/started")))
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for(lambda: not running("sleep 105"))
        (tmp_path / "again").touch()
        study = shell(tmp_path, script, DICE, keep=["ran"])
        assert study.results().empty
        results = ran(study)
        assert values(results, "dice") == [0.5]
        assert results["ran_sha256"].tolist() == [sha256(b"x\n").hexdigest()]
        log = (study.folder / "trials" / study.trials[0].identity / "log.txt").read_text()
        assert log.splitlines()[1:] == ["log.txt", "dice: 0.5"]

    def test_missing_output_that_was_to_be_kept(self, tmp_path):
        results = ran(shell(tmp_path, "echo dice: 1", DICE, keep=["*.pt"]))
        assert reason(results, 0) == ("failed", "the command wrote no '*.pt', which is to be kept.")

    def test_several_files_have_one_fingerprint(self, tmp_path):
        script = (
            "mkdir {folder}/w; echo 1 > {folder}/w/a; echo {repeat} > {folder}/w/b; echo dice: 1"
        )
        results = ran(shell(tmp_path, script, DICE, keep=["w", "w/a"], repeats=2))
        assert results["w_sha256"].nunique() == 2
        assert results["w/a_sha256"].tolist() == [sha256(b"1\n").hexdigest()] * 2


class TestSeeds:
    def test_varied_stream_without_a_placeholder_is_said_before_anything_runs(self, tmp_path):
        study = shell(tmp_path, "exit 1", DICE, varied={"init": [1, 2]})
        said = r"not used by the command as far as can be told: init\. .*REPROSTATS_SEED_INIT"
        with pytest.warns(UserWarning, match=said):
            ran(study)

    @pytest.mark.parametrize("way", ["placeholder", "env", "script", "together"])
    def test_stream_that_reaches_it_is_used(self, tmp_path, way):
        (tmp_path / "read.sh").write_text("echo dice: $REPROSTATS_SEED_INIT")
        script = {"script": "sh read.sh", "env": "echo dice: $SEED"}.get(way, "echo dice: {init}")
        settings = {"env": {"SEED": "{init}"}} if way == "env" else {}
        varied = {"init": [1, 2]}
        if way == "together":
            varied = [{"init": n, "batch_order": n} for n in (1, 2)]
        files = ["read.sh"] if way == "script" else []
        study = shell(tmp_path, script, DICE, varied=varied, files=files, **settings)
        assert values(ran(study), "dice") == [1, 2]
        assert study.record(study.trials[0].identity).used == ["init"]

    def test_unseeded_repeats_of_a_function_are_warned_of(self, tmp_path):
        with pytest.warns(UserWarning, match="repeats may be equal for that reason alone"):
            ran(Study(trials.global_draws, repeats=2, folder=tmp_path / "a"))
        ran(Study(trials.global_draws, repeats=2, fixed={"dropout": 0}, folder=tmp_path / "b"))


class TestWhoHeldTheSeed:
    """An unseeded program is never called repeatable because a study seeded it."""

    @pytest.mark.parametrize(
        ("script", "answer", "said"),
        [
            ("echo dice: 0.$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')", "no", "No seed of the "),
            ("echo dice: 0.5", "yes", "No seed of the study was used, as far as can be told"),
            ("echo dice: 0.{init}", "yes", "The study held the seed: init."),
            ("echo dice: 0.{dropout}", "yes", "The study held the seed: dropout."),
        ],
    )
    def test_of_a_command(self, tmp_path, script, answer, said):
        study = shell(tmp_path, script, DICE, repeats=4)
        ran(study)
        report = study.report(metric="dice", higher_is_better=True)
        (verdict,) = report.of("repeatable")
        assert verdict.answer == answer
        assert said in verdict.sentence
        assert "torch" not in report.methods.text
        assert "deterministic" not in report.methods.text
        assert study.facts()["Packages"] == "not known"

    @pytest.mark.parametrize(
        ("settings", "answer", "said"),
        [
            ({"fixed": {"dropout": 0}}, "undetermined", "which the study had seeded (dropout)"),
            ({"varied": {"dropout": [0, 1]}}, "yes", "The study held the seed: dropout."),
        ],
    )
    def test_of_a_function_that_draws_from_the_global_generators(
        self, tmp_path, settings, answer, said
    ):
        study = Study(trials.global_draws, repeats=2, folder=tmp_path, **settings)
        ran(study)
        (verdict,) = study.report(metric="torch", higher_is_better=True).of("repeatable")
        assert verdict.answer == answer
        assert said in verdict.sentence

    def test_of_a_function_with_streams(self, tmp_path):
        study = Study(trials.streams, repeats=2, folder=tmp_path)
        ran(study)
        (verdict,) = study.report(metric="init", higher_is_better=True).of("repeatable")
        assert verdict.answer == "yes"
        assert "The study held the seeds: batch_order, init, split." in verdict.sentence

    def test_flag_that_a_program_was_told_is_no_claim_about_pytorch(self, tmp_path):
        study = shell(tmp_path, "echo dice: 0.5 {deterministic}", DICE,
                      fixed={"deterministic": True})  # fmt: skip
        ran(study)
        text = study.report(metric="dice").methods.text
        assert "PyTorch" not in text
        assert "deterministic = True" in text
        assert "Each trial ran the command sh -c echo dice: 0.5 {deterministic}." in text

    def test_packages_are_told_of_the_python_that_runs_the_study(self, tmp_path):
        study = seeded_study(tmp_path)
        ran(study)
        assert "torch" in study.facts()["Packages"]


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r_script(tmp_path):
    (tmp_path / "fit.R").write_text(
        "given <- commandArgs(trailingOnly = TRUE)\n"
        "set.seed(as.integer(given[1]))\n"
        "x <- rnorm(20)\n"
        "table <- data.frame(case = c('a', 'b'), estimate = c(mean(x), sd(x)))\n"
        "write.csv(table, file.path(given[2], 'metrics.csv'), row.names = FALSE)\n"
    )
    command = ["Rscript", "fit.R", "{init}", "{folder}"]
    study = command_study(tmp_path, command, "metrics.csv", varied={"init": [1, 2]}, repeats=2)
    results = ran(study)
    # From R 4.2: set.seed(1); x <- rnorm(20); mean(x); sd(x)
    one = results[(results["init"] == 1) & (results["case"] == "a")]["value"].tolist()
    assert one == pytest.approx([0.190523876, 0.190523876], abs=1e-9)
    assert results.groupby("case")["value"].nunique().tolist() == [2, 2]


def wait_for(holds, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def running(command: str) -> list[int]:
    """Return the processes whose command line begins so."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if line.startswith(command) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found
