"""A difference planted at a known place is found there."""

import math

import pytest
import torch

from reprostats import Condition, Study
from reprostats.errors import InputError
from reprostats.study.divergence import TraceError
from tests.study import planted
from tests.study.planted import PLANTED_AT, STEPS


def divergence(folder, plant, **options):
    study = Study(planted.train, config={"plant": plant}, repeats=2, folder=folder)
    study.run(workers=1, progress=False)
    return study.first_divergence(
        *(trial.identity for trial in sorted(study.trials, key=lambda each: each.repeat)),
        workers=1,
        progress=False,
        **options,
    )


@pytest.mark.slow
class TestPlantedDifferences:
    def test_none(self, tmp_path):
        found = divergence(tmp_path, "")
        assert found.equal
        assert found.step is None
        assert found.steps == (STEPS, STEPS)
        assert found.reproduced == (True, True)
        assert str(found) == f"The two trainings are equal to the last bit ({STEPS} steps)."

    def test_backward_pass_of_one_module(self, tmp_path):
        found = divergence(tmp_path, "backward")
        assert (found.step, found.phase) == (PLANTED_AT, "backward")
        assert (found.place, found.what) == ("Net.block.2", "gradient of input")
        assert 1 <= found.difference.largest_ulps <= 2
        assert found.operation.name == "aten.mul.Tensor"
        assert (found.operation.phase, found.operation.place) == ("backward", "Net.block.2")

    def test_data_order_at_one_step(self, tmp_path):
        found = divergence(tmp_path, "order")
        assert (found.step, found.phase, found.place) == (PLANTED_AT, "input", "Net")
        assert found.operation.name == "aten.slice.Tensor"  # of the order
        assert not found.operation.same_input

    def test_one_initial_weight_by_one_unit_in_the_last_place(self, tmp_path):
        found = divergence(tmp_path, "weight")
        assert (found.step, found.phase) == (0, "initial")
        assert found.place == "Net.block.0.weight"
        assert (found.difference.differing, found.difference.largest_ulps) == (1, 1)

    def test_one_weight_before_a_later_step(self, tmp_path):
        found = divergence(tmp_path, "weight later")
        assert (found.step, found.phase, found.place) == (PLANTED_AT, "forward", "Net.last")

    def test_gradient_changed_by_hand(self, tmp_path):
        found = divergence(tmp_path, "gradient")
        assert (found.step, found.phase) == (PLANTED_AT, "update")
        assert found.place == "Net.first.bias"

    def test_length(self, tmp_path):
        found = divergence(tmp_path, "shorter")
        assert not found.equal
        assert found.step is None
        assert found.steps == (STEPS, STEPS - 1)
        assert "Equal as far as both go: 6 and 5 steps" in str(found)

    def test_failure_of_one(self, tmp_path):
        found = divergence(tmp_path, "raises")
        assert found.steps == (STEPS, PLANTED_AT)
        assert found.reproduced == (True, None)

    def test_growth_begins_where_they_part(self, tmp_path):
        growth = divergence(tmp_path, "backward").growth
        assert growth["step"].tolist() == list(range(PLANTED_AT, STEPS))
        assert (growth["relative"] >= 0).all()
        assert 0 < growth["relative"].iloc[-1] < 1e-3

    def test_weights_alone(self, tmp_path):
        found = divergence(tmp_path, "backward", detail="step")
        assert (found.step, found.place) == (PLANTED_AT, "Net.block.2")


@pytest.mark.slow
def test_a_difference_that_does_not_come_again(tmp_path):
    """Planted in the first traced run only, as an operation that is not repeatable may do."""
    config = {"plant": "once", "counter": str(tmp_path / "counter")}
    study = Study(planted.train, config=config, repeats=2, folder=tmp_path / "study")
    study.run(workers=1, progress=False)
    identities = [each.identity for each in sorted(study.trials, key=lambda each: each.repeat)]
    found = study.first_divergence(*identities, workers=1, progress=False)
    assert (found.step, found.phase, found.place) == (PLANTED_AT, "update", "Net.first.bias")
    assert found.repeated == (True, False)
    assert found.reproduced == (True, False)
    assert found.operation is None
    assert found.growth.empty
    assert "run twice, it gave other bits in that step" in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("other", ["float64", "bfloat16"])
def test_types_that_differ(tmp_path, other):
    study = Study(planted.train_in_type, varied={"dtype": ["float32", other]}, folder=tmp_path)
    found = study.first_divergence(*(each.identity for each in study.trials), progress=False)
    assert found.step == 0
    assert found.difference is None
    assert "the weights cannot be compared" in str(found)


def test_detail_that_there_is_not(tmp_path):
    study = Study(planted.no_training, repeats=2, folder=tmp_path)
    with pytest.raises(InputError, match="did you mean 'module'"):
        study.first_divergence(
            *(each.identity for each in study.trials), detail="modules", progress=False
        )


def test_level_that_this_machine_cannot_give(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    study = Study(planted.train_in_type, varied={"device": ["cpu", "cuda"]}, remote=True,
                  folder=tmp_path)  # fmt: skip
    with pytest.raises(TraceError, match="could not be run again"):
        study.first_divergence(*(each.identity for each in study.trials), progress=False)


@pytest.mark.slow
class TestEnvironments:
    def test_environment_variable(self, tmp_path):
        """Two processes that differ in PYTHONHASHSEED alone."""
        study = Study(planted.train_by_set_order, varied={"hash_seed": [1, 2]}, folder=tmp_path)
        study.run(workers=1, progress=False)
        found = study.first_divergence(*(each.identity for each in study.trials), progress=False)
        assert found.levels == {"hash_seed": (1, 2)}
        assert (found.step, found.phase) == (0, "input")
        assert found.reproduced == (True, True)

    def test_seeds_that_the_system_drew_are_taken_again(self, tmp_path):
        study = Study(planted.train, config={"plant": ""}, fixed={"init": "os"}, repeats=2,
                      folder=tmp_path)  # fmt: skip
        study.run(workers=1, progress=False)
        found = study.first_divergence(*(each.identity for each in study.trials), progress=False)
        assert found.reproduced == (True, True)
        assert (found.step, found.phase, found.place) == (0, "initial", "Net.first.weight")
        assert math.isfinite(found.difference.largest_absolute)


class TestRefusals:
    def test_nothing_to_trace(self, tmp_path):
        study = Study(planted.no_training, repeats=2, folder=tmp_path)
        with pytest.raises(InputError, match="nothing to trace"):
            study.first_divergence(*(each.identity for each in study.trials), progress=False)

    def test_unknown_trial(self, tmp_path):
        conditions = {"one": Condition()}
        study = Study(planted.no_training, conditions=conditions, folder=tmp_path)
        with pytest.raises(InputError, match="unknown trial 'abc'"):
            study.first_divergence("abc", "abc", progress=False)
