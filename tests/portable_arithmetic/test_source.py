"""Portable arithmetic as a level of the source ``deterministic``, in the trials of a study."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from reprostats import Condition, Study
from reprostats.errors import InputError
from reprostats.portable_arithmetic.mode import current_mode
from reprostats.sources import SOURCES, instruction_sets, seeds

OTHER_HARDWARE = [
    {"threads": threads, "isa": isa}
    for threads in (1, 2)
    for isa in instruction_sets()
    if isa != "native"
] or [{"threads": threads} for threads in (1, 2)]
PORTABLE = {**seeds(1), "deterministic": "portable"}


def train(trial):
    """A network whose training uses square roots, exponentials, products, sums and dropout."""
    with trial.stream("init"):
        model = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Dropout(0.1), nn.Linear(32, 2))
    generator = trial.torch_generator("batch_order")
    samples = torch.linspace(-1, 1, 1280).reshape(64, 20)
    labels = (samples.sum(1) > 0).long()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for batch in torch.randperm(64, generator=generator).split(16):
        optimiser.zero_grad()
        functional.cross_entropy(model(samples[batch]), labels[batch]).backward()
        optimiser.step()
    trial.keep("weights", model.state_dict())
    mode = current_mode()
    return {"is_portable": float(mode is not None), "bits": (mode and mode.operand_bits) or 0}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    conditions = {
        "native": Condition(seeds(1), OTHER_HARDWARE),
        "portable": Condition(PORTABLE, OTHER_HARDWARE),
        "coarse": Condition({**PORTABLE, "operand_bits": 8}),
        "misplaced": Condition({**seeds(1), "operand_bits": 8}),
    }
    study = Study(train, conditions=conditions, folder=tmp_path_factory.mktemp("study"))
    return study.run(workers=1, keep_going=True, progress=False)


def weights(results, condition):
    chosen = results[results["condition"] == condition].drop_duplicates("trial")
    return set(chosen["weights_sha256"])


@pytest.mark.slow
class TestStudy:
    def test_portable_trainings_have_the_same_weights_on_other_hardware(self, results):
        assert len(weights(results, "portable")) == 1

    @pytest.mark.skipif(len(instruction_sets()) == 1, reason="one instruction set only")
    def test_others_have_not(self, results):
        assert len(weights(results, "native")) > 1

    def test_the_record_says_so(self, results):
        trials = results.drop_duplicates("trial").set_index("condition")
        assert set(trials.loc["portable", "deterministic"]) == {"portable"}

    def test_accuracy_is_a_source_of_its_own(self, results):
        coarse = results[results["condition"] == "coarse"].set_index("metric")["value"]
        assert coarse["bits"] == 8
        assert weights(results, "coarse").isdisjoint(weights(results, "portable"))

    def test_accuracy_without_portable_arithmetic_is_an_error(self, results):
        misplaced = results[results["condition"] == "misplaced"].iloc[0]
        assert misplaced["status"] == "failed"
        assert "counts in portable arithmetic alone" in misplaced["reason"]


@pytest.mark.parametrize("level", ["portabel", 1, None, "true"])
def test_other_levels_are_refused(level):
    with pytest.raises(InputError, match="True, False or 'portable'"):
        SOURCES["deterministic"].check(level)


@pytest.mark.parametrize("level", [1, 54, "all", 8.5, True])
def test_other_accuracies_are_refused(level):
    with pytest.raises(InputError, match="an integer from 2 to 53, or 'most'"):
        SOURCES["operand_bits"].check(level)


def test_levels_can_be_switched_in_one_process():
    source = SOURCES["deterministic"]
    for level in ("portable", False, "portable", "portable", False):
        source.apply(level)
        assert source.read_back() == {"deterministic": level}
        assert (current_mode() is not None) == (level == "portable")
