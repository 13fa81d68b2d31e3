"""What is wrong in a configuration is said at once, with its place and what would be right."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.learning.schedules import Cosine, GreScale
from reprostats.train.config import TrainingConfig, differences, read_config
from reprostats.yaml_files.mistakes import YamlFileError

ROOT = Path(__file__).parent.parent.parent

NETWORK = """
from torch import nn

class Net(nn.Conv2d):
    def __init__(self, maps: int = 1):
        super().__init__(1, maps, 3, padding=1)
"""


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return written


@pytest.fixture
def mistakes(write):
    def found(text: str, *settings: str) -> list[str]:
        path = write(text)
        with pytest.raises(YamlFileError) as error:
            read_config(path, settings)
        return [str(each).removeprefix(f"{path}:") for each in error.value.mistakes]

    return found


def test_defaults_fill_what_is_left_out(write):
    assert read_config(write("epochs: 6")) == TrainingConfig()


def test_names_may_stand_alone(write):
    short, long = "model: fcn", "model: {name: fcn, parameters: {}}"
    assert read_config(write(short)) == read_config(write(long))


def test_schedules_are_those_of_the_package(write):
    text = "schedule: {name: grescale, workers: 4}\nstrategy: virtual\nworkers: 4"
    assert read_config(write(text)).schedule == GreScale(workers=4)


def test_example_file_is_right():
    assert read_config(ROOT / "data" / "parameters" / "train_unet.yaml").model.name == "unet"


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("epoch: 3", "1:1: epoch: there is no field 'epoch'; did you mean 'epochs'?"),
            (
                "epochs: 1\ndata:\n  heads: {patient: 3}",
                "3:11: data.heads.patient: there is no field 'patient'; did you mean 'patients'?",
            ),
            (
                "model: {name: unet, parameters: {width: [4]}}",
                "1:34: model.parameters.width: there is no field 'width'; did you mean 'widths'?",
            ),
            (
                "schedule:\n  name: cosine\n  learning_rte: 1.0",
                (
                    "3:3: schedule.learning_rte: there is no field 'learning_rte'; "
                    "did you mean 'learning_rate'?"
                ),
            ),
            (
                "schedule: {name: cosin, learning_rate: 1.0}",
                (
                    "1:18: schedule.name: 'cosin' is not a name that is known here; "
                    "did you mean 'cosine'?"
                ),
            ),
            ("schedule: {learning_rate: 1.0}", "1:11: schedule: the field 'name' is missing;"),
            ("schedule: {name: cosine}", "1:11: schedule: the field 'learning_rate' is missing;"),
            ("callbacks: [{nam: x}]", "1:14: callbacks[1].nam: there is no field 'nam'; did you"),
            ("initialiser: glorot", "1:14: initialiser: there is no initialiser 'glorot'; did you"),
            ("model: unit", "1:8: model: there is no model 'unit'; did you mean 'unet'?"),
        ],
    )
    def test_unknown_names_come_with_the_nearest(self, mistakes, text, wanted):
        (found,) = mistakes(text)
        assert found.startswith(wanted)

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ('epochs: "3"', "1:9: epochs: '3' is not an integer"),
            ("epochs: 1.5", "1:9: epochs: 1.5 is not an integer"),
            ("epochs: true", "1:9: epochs: true is not an integer"),
            ("epochs: 0", "1:9: epochs: 0 cannot stand here; it should be greater than or equal"),
            ("watch: {every_s: often}", "1:18: watch.every_s: 'often' is not a number"),
            ("watch: {tensorboard: 1}", "1:22: watch.tensorboard: 1 is not true or false"),
            ("data: {size: 32}", "1:14: data.size: 32 is not a list"),
            ("data: 3", "1:7: data: 3 is not a mapping"),
            ("callbacks: x", "1:12: callbacks: 'x' is not a list"),
            ("model: [unet]", "1:8: model: a list is not a mapping"),
            (
                "model: {name: unet, parameters: {widths: wide}}",
                "1:42: model.parameters.widths: 'wide'",
            ),
            (
                "optimiser: {name: sgd, parameters: {momentum: much}}",
                "1:47: optimiser.parameters.momentum: 'much' is not a number",
            ),
            (
                "schedule: {name: step, learning_rate: 1, every: -1}",
                "1:49: schedule.every: -1 cannot stand here; it should be greater than 0",
            ),
            (
                "schedule: {name: cosine, learning_rate: 0.1, final_rate: 1}",
                "1:11: schedule: final_rate 1.0 is above learning_rate 0.1; correct it",
            ),
            ("device: tpu", "1:9: device: 'tpu' cannot stand here"),
        ],
    )
    def test_wrong_types_and_values(self, mistakes, text, wanted):
        (found,) = mistakes(text)
        assert found.startswith(wanted)

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("workers: 2", "1:10: workers: the strategy single has one worker, not 2"),
            (
                "strategy: virtual\nworkers: 4\nbatch_size: 2\nbatch_size_of: step",
                "3:13: batch_size: a batch of 2 is smaller than the number of workers, 4",
            ),
            (
                "strategy: virtual\nworkers: 4\nbatch_size: 6\nbatch_size_of: step",
                "3:13: batch_size: a batch of 6 cannot be shared equally by 4 workers",
            ),
            ("data: {folds: 3, fold: 3}", "1:24: data.fold: there is no fold 3 of 3"),
            (
                "optimiser: {name: sgd, parameters: {lr: 1.0}}",
                "1:37: optimiser.parameters.lr: the rate is that of the schedule",
            ),
        ],
    )
    def test_settings_that_do_not_fit_together(self, mistakes, text, wanted):
        (found,) = mistakes(text)
        assert found.startswith(wanted)

    def test_all_are_told_at_once_in_order(self, mistakes):
        text = "epoch: 3\nbatch_size: many\nmodel: unit\nloss: nothing.here:Loss"
        assert [each.partition(":")[0] for each in mistakes(text)] == ["1", "2", "3", "4"]

    def test_file_that_is_not_there(self, tmp_path):
        with pytest.raises(YamlFileError, match="there is no such file"):
            read_config(tmp_path / "config.yaml")

    @pytest.mark.parametrize("text", ["", "- 1", "epochs: [", "epochs: 1\nepochs: 2", "a: !!x 1"])
    def test_what_is_no_configuration(self, mistakes, text):
        assert mistakes(text)

    @given(
        st.dictionaries(
            st.sampled_from([*TrainingConfig.model_fields, "name", "other"]),
            st.recursive(
                st.none() | st.integers(-2, 2) | st.sampled_from(["unet", "x:y", "./z.py:A", "1"]),
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.dictionaries(
                        st.sampled_from(["name", "parameters", "folds", "widths"]),
                        inner,
                        max_size=2,
                    )
                ),
                max_leaves=4,
            ),
            min_size=1,
            max_size=3,
        )
    )
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_whatever_stands_there_is_read_or_refused_with_a_message(self, write, data):
        import json

        path = write(json.dumps(data))
        try:
            found = read_config(path)
        except InputError as error:
            found = str(error)
        assert isinstance(found, TrainingConfig) or str(path) in found


class TestImportPaths:
    def test_file_is_found_beside_the_configuration(self, write, tmp_path):
        (tmp_path / "own.py").write_text(NETWORK)
        config = read_config(write("model: {name: 'own.py:Net', parameters: {maps: 2}}"))
        assert config.model.name == f"{tmp_path / 'own.py'}:Net"

    def test_module_is_found_beside_the_configuration(self, write, tmp_path):
        (tmp_path / "own_network_here.py").write_text(NETWORK)
        assert read_config(write("model: own_network_here:Net")).model.parameters == {}

    @pytest.mark.parametrize(
        ("name", "wanted"),
        [
            ("own.py:Ne", "own.py has no 'Ne'; did you mean 'Net'?"),
            ("owm.py:Net", "owm.py; did you mean 'own.py'?"),
            ("no_such_module:Net", "there is no module 'no_such_module'; install it, or put it"),
            ("torch.nm:Net", "there is no module 'torch.nm'"),
            ("own.py:nn", "is <module 'torch.nn'"),
            ("..:Net", "is no name of a module"),
        ],
    )
    def test_that_give_nothing(self, mistakes, tmp_path, name, wanted):
        (tmp_path / "own.py").write_text(NETWORK)
        (found,) = mistakes(f"epochs: 1\nmodel: '{name}'")
        assert found.startswith("2:8: model: ")
        assert wanted in found

    def test_that_raise_name_the_line_of_the_user(self, mistakes, tmp_path):
        (tmp_path / "own.py").write_text("import math\n\nscale = math.sqrt(-1)\n")
        (found,) = mistakes("model: own.py:Net")
        assert "own.py raised ValueError: math domain error on line 3 of " in found
        assert "own.py: scale = math.sqrt(-1)" in found

    def test_that_import_what_raises_name_the_line_there(self, mistakes, tmp_path):
        (tmp_path / "own.py").write_text("import broken_helper_here\n")
        (tmp_path / "broken_helper_here.py").write_text("x = 1\ny = x.nothing\n")
        (found,) = mistakes("model: own.py:Net")
        assert "on line 2 of" in found
        assert "broken_helper_here.py: y = x.nothing" in found

    def test_that_are_not_python_name_the_line(self, mistakes, tmp_path):
        (tmp_path / "own.py").write_text("x = 1\nclass Net(:\n")
        (found,) = mistakes("model: own.py:Net")
        assert "is not valid Python" in found
        assert "on line 2 of" in found

    def test_changed_file_is_read_anew(self, write, mistakes, tmp_path):
        (tmp_path / "own.py").write_text("Wrong = 1")
        assert mistakes("model: own.py:Net")
        (tmp_path / "own.py").write_text(NETWORK)
        assert read_config(write("model: own.py:Net"))

    def test_parameters_are_held_to_the_signature(self, mistakes, tmp_path):
        (tmp_path / "own.py").write_text(NETWORK)
        assert mistakes("model: {name: 'own.py:Net', parameters: {maps: many, map: 2}}") == [
            (
                "1:48: model.parameters.maps: 'many' is not an integer; write an integer, "
                "without quotes"
            ),
            "1:54: model.parameters.map: there is no field 'map'; did you mean 'maps'?",
        ]

    def test_parameters_without_a_default_must_be_given(self, mistakes, tmp_path):
        (tmp_path / "own.py").write_text("class Own:\n    def __init__(self, patience): ...\n")
        (found,) = mistakes("callbacks:\n  - own.py:Own")
        assert found.startswith("2:5: callbacks[1]: the field 'patience' is missing; add it")


class TestSettings:
    def test_take_the_place_of_what_stands_there(self, write):
        config = read_config(
            write("epochs: 3\nmodel: fcn"),
            ["epochs=9", "schedule.name=cosine", "schedule.learning_rate=0.5", "watch=null",
             "model.parameters.dropout=0.1"],
        )  # fmt: skip
        assert (config.epochs, config.watch) == (9, None)
        assert config.schedule == Cosine(learning_rate=0.5)
        assert (config.model.name, config.model.parameters) == ("fcn", {"dropout": 0.1})

    def test_are_blamed_for_their_mistakes(self, mistakes):
        found = mistakes("epochs: 3", "epochs=many", "data.fould=1")
        assert [each.partition(": ")[0] for each in found] == [
            "--set data.fould=1",
            "--set epochs=many",
        ]
        assert found[0].endswith("there is no field 'fould'; did you mean 'fold'?")

    @pytest.mark.parametrize("setting", ["epochs", "=3", "epochs=["])
    def test_that_are_none(self, write, setting):
        with pytest.raises(InputError, match="--set"):
            read_config(write("epochs: 3"), [setting])


def test_differences_name_every_key():
    one = TrainingConfig().model_dump(mode="json")
    other = TrainingConfig(epochs=9, schedule=Cosine(learning_rate=5e-3), model="fcn").model_dump(
        mode="json"
    )
    assert differences(one, one) == []
    assert [each.partition(":")[0] for each in differences(one, other)] == [
        "epochs", "model.name", "model.parameters", "model.parameters.normalisation",
        "model.parameters.widths", "schedule.final_rate", "schedule.name",
    ]  # fmt: skip
