"""Tables: which column is what, and what is asked where that cannot be told."""

import numpy as np
import pandas as pd
import pytest

from reprostats import read_results, verdict
from reprostats.cli import main
from reprostats.errors import InputError, QuestionError
from reprostats.study.runs import case_values

LONG = pd.DataFrame(
    [
        (model, seed, fold, f"case {fold}{n}", 0.8 + seed / 100 + n / 1000)
        for model in ("unet", "fcn")
        for seed in (0, 1, 2)
        for fold in (0, 1)
        for n in (0, 1, 2)
    ],
    columns=["model", "seed", "fold", "case", "dice"],
)


@pytest.fixture
def write(tmp_path):
    def write_(text, name="results.csv"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, pd.DataFrame):
            text = text.to_csv(index=False)
        file.write_text(text)
        return file

    return write_


class TestRoles:
    def test_columns_by_name(self, write):
        results = read_results(write(LONG))
        assert len(results.table) == len(LONG)
        np.testing.assert_allclose(results.table["value"], LONG["dice"], rtol=1e-15)
        assert results.table["seed"].tolist() == LONG["seed"].tolist()
        assert results.table["trial"].nunique() == 12
        assert results.assumptions[:5] == (
            "Read as tables.",
            "Values are in the columns 'dice'.",
            "'case' is the case.",
            "'seed' is the run; trainings of two algorithms with one seed are taken as a pair.",
            "'model' is the algorithm.",
        )

    @pytest.mark.parametrize(
        "names",
        [("Method", "Run", "Patient ID"), ("network", "repeat", "filename"),
         ("ALGORITHM", "Random Seed", "image_id")],
    )  # fmt: skip
    def test_other_names(self, write, names):
        columns = dict(zip(("model", "seed", "case"), names, strict=True))
        table = read_results(write(LONG.rename(columns=columns))).table
        assert set(table["condition"]) == {"unet", "fcn"}
        assert table["trial"].nunique() == 12
        assert table["case"].nunique() == 6

    def test_a_run_that_is_no_seed_makes_no_pairs(self, write):
        """Run 1 of one algorithm has nothing to do with run 1 of another."""
        table = LONG.drop(columns="fold")
        paired = verdict(read_results(write(table)), metric="dice").of("better")[0]
        runs = write(table.rename(columns={"seed": "run"}))
        unpaired = verdict(read_results(runs), metric="dice").of("better")[0]
        assert (paired.runs, unpaired.runs) == ("crossed", "nested")

    def test_two_candidates_are_asked_for(self, write):
        file = write(LONG.assign(method=["x", "y", "z"] * 12))
        with pytest.raises(QuestionError) as asked:
            read_results(file)
        assert asked.value.argument == "algorithm"
        assert asked.value.choices == ("model", "method")
        assert "algorithm='model' or algorithm='method'" in str(asked.value)
        assert "--algorithm model or --algorithm method" in str(asked.value)

    def test_two_columns_that_say_the_same_need_no_question(self, write):
        file = write(LONG.assign(model_name=LONG["model"].str.upper()))
        assert set(read_results(file).table["condition"]) == {"unet", "fcn"}

    def test_told(self, write):
        odd = LONG.rename(columns={"model": "who", "seed": "again", "case": "where"})
        answers = {"algorithm": "who", "run": "again", "case": "where"}
        assert len(read_results(write(odd), **answers).table) == 36
        with pytest.raises(InputError, match="did you mean 'who'"):
            read_results(write(odd), algorithm="whoo")

    def test_several_fields_make_an_algorithm(self, write):
        file = write(LONG.assign(loss=["dice", "ce"] * 18))
        table = read_results(file, algorithm=["model", "loss"]).table
        assert "model=unet, loss=ce" in set(table["condition"])

    def test_none(self, write):
        table = read_results(write(LONG[LONG["model"] == "fcn"]), algorithm="none").table
        assert table["condition"].unique().tolist() == ["results"]

    def test_long_table_with_names_of_metrics(self, write):
        long = LONG.rename(columns={"dice": "score"}).assign(measure="Dice")
        assert set(read_results(write(long)).table["metric"]) == {"Dice"}
        odd = long.rename(columns={"measure": "what", "score": "number"})
        told = read_results(write(odd), metric_column="what", value_column="number")
        assert set(told.table["metric"]) == {"Dice"}

    def test_each_row_may_be_a_training(self, write):
        file = write("model,dice\nunet,0.9\nunet,0.8\nfcn,0.7\nfcn,0.7\n")
        with pytest.raises(QuestionError, match=r"of its own\? Say which: run='rows'"):
            read_results(file)
        compared = verdict(read_results(file, run="rows"), metric="dice").of("better")
        assert {v.runs for v in compared} == {"nested"}
        assert len(read_results(file, run="rows").table) == 4

    def test_status_of_trainings(self, write):
        status = ["crashed" if m == "fcn" and s == 2 else "finished"
                  for m, s in zip(LONG["model"], LONG["seed"], strict=True)]  # fmt: skip
        table = read_results(write(LONG.assign(State=status))).table
        failed = table[table["status"] == "failed"]
        assert set(failed["trial"]) == {"fcn, seed 2, fold 0", "fcn, seed 2, fold 1"}
        assert set(failed["reason"]) == {"its status is crashed"}

    def test_state_of_a_country(self, write):
        table = read_results(write(LONG.assign(state=["CA", "NY"] * 18))).table
        assert table["status"].unique().tolist() == ["ok"]


class TestWide:
    DICE = "case,U-Net,nnU-Net\na,0.8,0.9\nb,0.7,0.8\nmean,0.75,0.85\n"

    def test_methods_in_columns_of_a_file_named_for_its_metric(self, write):
        results = read_results(write(self.DICE, "dice.csv"))
        assert set(results.table["condition"]) == {"U-Net", "nnU-Net"}
        assert set(results.table["case"]) == {"a", "b"}
        assert "Rows whose 'case' is mean are summaries, and left out." in results.assumptions

    def test_else_it_is_asked(self, write):
        file = write(self.DICE)
        with pytest.raises(QuestionError, match="may be algorithms, or metrics of one"):
            read_results(file)
        told = read_results(file, algorithm="columns", metric="dice").table
        assert set(told["metric"]) == {"dice"}
        assert set(read_results(file, algorithm="none").table["metric"]) == {"U-Net", "nnU-Net"}

    def test_units_signs_and_missing_cells(self, write):
        file = write("Patient;Dice [%];Volume error (ml)\na;83,5;+2,5\nb;n/a;−0,2\nc;inf;-\n")
        table = read_results(file).table
        np.testing.assert_array_equal(table["value"], [83.5, np.nan, np.inf, 2.5, -0.2, np.nan])

    def test_metric_is_found_whatever_its_case_and_unit(self, write):
        file = write("model,seed,HD95 [mm]\na,0,1.5\na,1,2.5\nb,0,1\nb,1,2\n")
        for name in ("hd95", "HD_95", "HD95 [mm]"):
            assert verdict(read_results(file), metric=name).of("completed")

    def test_metric_of_several_classes_is_asked(self, write):
        rows = "a,LV,0.8\na,RV,0.9\nb,LV,0.7\nb,RV,0.6\n"
        results = read_results(write("case,structure,Dice\n" + rows))
        with pytest.raises(QuestionError, match="--metric Dice/LV or --metric Dice/RV"):
            verdict(results, metric="dice")

    def test_class_of_the_case_is_no_class_of_the_metric(self, write):
        """A diagnosis, say: a case has one, whatever the algorithm."""
        rows = "".join(f"{m},{c},{k},0.8\n" for m in "uv" for c, k in (("a", "benign"), ("b", "m")))
        table = read_results(write("model,case,class,dice\n" + rows)).table
        assert set(table["metric"]) == {"dice"}

    def test_percent_is_no_share(self, write):
        """A margin of one point is not larger than every difference there can be."""
        file = write("model,seed,Dice [%]\na,0,91\na,1,92\nb,0,81\nb,1,80\n")
        assert verdict(read_results(file), metric="dice", margin=1.0).of("better")


class TestNames:
    def test_seed_and_fold_in_names_of_files(self, write):
        for model in ("swin_unetr", "unet"):
            for seed in (1, 2, 10):
                file = write(f"case,dice\na,0.{seed}\n", f"out/{model}_s{seed}_f0.csv")
        table = read_results(file.parent).table
        assert table["seed"].unique().tolist() == [1, 2, 10]
        assert set(table["condition"]) == {"swin_unetr", "unet"}

    def test_folders_are_algorithms(self, write):
        for model in ("a", "b"):
            for seed in (0, 1):
                file = write(f"case,dice\nx,0.{seed + 1}\n", f"o/{model}/seed{seed}/metrics.csv")
        table = read_results(file.parents[2]).table
        assert set(table["trial"]) == {f"{m}, seed {s}" for m in "ab" for s in (0, 1)}

    def test_a_table_without_results_is_left_out_and_named(self, write):
        write("case,dice\nx,0.5\n", "o/dice_seed1.csv")
        file = write("name,address\nx,y\n", "o/people.csv")
        results = read_results(file.parent)
        assert len(results.table) == 1
        assert any("Left out" in said and "people.csv" in said for said in results.assumptions)

    def test_two_files_that_disagree(self, write):
        write("model,seed,case,dice\nu,1,x,0.5\n", "o/a.csv")
        file = write("model,seed,case,dice\nu,1,x,0.6\n", "o/b.csv")
        with pytest.raises(InputError, match=r"0\.5 and 0\.6 \(in .*a\.csv and .*b\.csv\)"):
            read_results(file.parent)

    def test_two_files_that_agree_count_once(self, write):
        write("model,seed,case,dice\nu,1,x,0.5\n", "o/a.csv")
        file = write("model,seed,case,dice\nu,1,x,0.5\n", "o/b.csv")
        results = read_results(file.parent)
        assert len(results.table) == 1
        assert any("There twice, and counted once" in said for said in results.assumptions)


class TestFolds:
    def test_folds_of_a_seed_are_one_training(self, write):
        report = verdict(read_results(write(LONG)), metric="dice")
        assert {v.n_runs for v in report.of("better")} == {(3, 3)}

    def test_folds_that_test_the_same_cases_are_splits(self, write):
        """Networks of an ensemble, all tested on one hold-out set: trainings that share a split."""
        same = LONG.assign(case=LONG["case"].str[:5] + LONG["case"].str[-1], fold=LONG["fold"])
        results = read_results(write(same))
        assert "fold" not in results.table
        assert results.table["split"].nunique() == 2
        assert any("with another split" in said for said in results.assumptions)
        spread = verdict(results, metric="dice").of("spread")[0]
        assert "seed" in spread.sentence
        assert "split" in spread.sentence

    def test_seed_that_changes_with_the_fold(self, write):
        """Five folds, each with its own seed, are one cross-validation and not five repeats."""
        table = LONG[LONG["seed"] == 0].assign(seed=lambda t: t["fold"] + 40)
        results = read_results(write(table))
        assert "seed" not in results.table
        compared = verdict(results, metric="dice").of("better")
        assert {v.n_runs for v in compared} == {(1, 1)}

    def test_value_of_a_run_is_the_mean_over_its_whole_folds(self, write):
        """One value a fold, and no cases: by hand, 0.6 of seed 0 and 0.75 of seed 1."""
        file = write("seed,fold,acc\n0,0,0.5\n0,1,0.7\n1,0,0.75\n1,1,0.75\n")
        values = case_values(read_results(file).table, "acc")
        assert values["case"].tolist() == ["all", "all"]
        np.testing.assert_allclose(values["value"], [0.6, 0.75], rtol=1e-15)

    def test_training_without_a_value_is_left_out_and_counted(self, write):
        """It was never tested, say; the others are compared, and not all of them given up."""
        rows = "".join(f"{m},{s},0.{8 + s}{n}\n" for n, m in enumerate("uv") for s in (0, 1))
        report = verdict(read_results(write("model,seed,acc\n" + rows + "v,2,\n")), metric="acc")
        assert {v.n_runs for v in report.of("better")} == {(2, 2)}
        assert "1 training(s) are left out, because they have no finite acc." in report.notes

    def test_mean_over_folds_is_missing_where_a_fold_is(self, write):
        file = write("seed,fold,acc\n0,0,0.5\n0,1,\n1,0,0.75\n1,1,0.75\n")
        values = case_values(read_results(file).table, "acc")["value"]
        np.testing.assert_array_equal(values, [np.nan, 0.75])


class TestMistakes:
    def test_text_in_a_column_of_numbers(self, write):
        file = write("model,seed,dice\nu,0,0.9\nu,1,good\nu,2,0.8\nu,3,0.8\n")
        with pytest.raises(InputError, match="line 3, column 'dice': 'good' is no number"):
            read_results(file)

    def test_two_columns_of_one_name(self, write):
        with pytest.raises(InputError, match="two columns are called 'dice'"):
            read_results(write("case,dice,dice\na,1,2\n"))

    def test_nothing_there(self, tmp_path):
        with pytest.raises(InputError, match="there is no such file or folder"):
            read_results(tmp_path / "nowhere")

    def test_format_that_is_not_there(self, write):
        with pytest.raises(InputError, match="runs of MLflow are looked for, and not recognised"):
            read_results(write(LONG), format="mlflow")

    def test_study_of_a_table(self, write):
        with pytest.raises(InputError, match="does not tell studies apart"):
            read_results(write(LONG), study="first")

    def test_spreadsheet(self, write):
        with pytest.raises(InputError, match="Save the sheet as CSV"):
            read_results(write("PK", "results.xlsx"))

    def test_unknown_format(self, write):
        with pytest.raises(InputError, match="did you mean 'nnunet'"):
            read_results(write(LONG), format="nnUnet")

    def test_runs_that_nothing_tells_apart(self, write):
        file = write("model,lr,dice\nu,0.1,0.9\nu,0.2,0.8\n")
        with pytest.raises(InputError, match="They differ in lr: say if one is the algorithm"):
            read_results(file)


class TestCommand:
    def test_question_and_answer(self, write, capsys):
        file = write(LONG.assign(method="x"))
        answer = ["verdict", str(file), "--metric", "DICE"]
        assert main(answer) == 1
        assert "--algorithm model or --algorithm method" in capsys.readouterr().err
        assert main([*answer, "--algorithm", "model", "--run", "seed", "--fold", "none"]) == 0
        assert "'model' is the algorithm." in capsys.readouterr().out

    def test_own_results_table_is_read_as_it_is(self, write):
        own = pd.DataFrame({"trial": ["007", "1e5"], "metric": "dice", "value": [0.9, 0.8],
                            "init": [1, 2]})  # fmt: skip
        results = read_results(write(own))
        assert results.format == "results"
        assert results.table["trial"].tolist() == ["007", "1e5"]
        assert results.table["init"].tolist() == [1, 2]

    def test_parquet_and_json_lines(self, tmp_path):
        LONG.to_parquet(tmp_path / "r.parquet")
        LONG.to_json(tmp_path / "r.jsonl", orient="records", lines=True, double_precision=15)
        first, second = (read_results(tmp_path / f"r.{s}").table for s in ("parquet", "jsonl"))
        pd.testing.assert_frame_equal(first, second)
