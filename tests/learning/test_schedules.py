import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.optim import lr_scheduler

from reprostats.errors import InputError
from reprostats.learning.loop import fit
from reprostats.learning.read_schedule import read_schedule
from reprostats.learning.scaled_schedules import GreScale, LinearScaling
from reprostats.learning.schedule_base import Length
from reprostats.learning.schedules import (
    Constant,
    Cosine,
    Cyclical,
    Exponential,
    InverseTime,
    Milestones,
    Polynomial,
    Step,
)

OF_ONE_WORKER = [
    Constant(learning_rate=0.1),
    Step(learning_rate=0.1, every=2, factor=0.3),
    Milestones(learning_rate=0.1, at=(1, 2.5, 6), factor=0.3),
    Exponential(learning_rate=0.1, factor=0.9),
    InverseTime(learning_rate=0.1, decay=0.01),
    Polynomial(learning_rate=0.1, final_rate=0.01, power=0.9),
    Cosine(learning_rate=0.1, final_rate=0.001),
    Cyclical(learning_rate=0.1, highest_rate=0.7, half_cycle=1.5),
]
SCHEDULES = [
    *OF_ONE_WORKER,
    LinearScaling(schedule=Constant(learning_rate=0.1), workers=4, warmup_epochs=0),
    LinearScaling(schedule=Cosine(learning_rate=0.1), workers=4, warmup_epochs=2),
    GreScale(workers=4),
]
NAMED = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)

numbers_of_epochs = st.integers(1, 40)
steps_per_epoch = st.integers(1, 30)
workers = st.integers(1, 64)


def optimiser(rate: float = 0.5, **options: object) -> torch.optim.SGD:
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.zeros(1)
    return torch.optim.SGD([weight], lr=rate, **options)


def followed(scheduler: lr_scheduler.LRScheduler, steps: int) -> list[float]:
    """Give the rates that an optimiser has in each step."""
    rates = []
    for _ in range(steps):
        rates.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


class TestScheduler:
    @NAMED
    def test_gives_the_planned_rates_to_the_bit(self, schedule):
        scheduler = schedule.scheduler(optimiser(), 7, 8)
        assert followed(scheduler, 56) == schedule.rates(7, 8).tolist()

    @NAMED
    def test_resumes_in_a_new_process_with_the_same_rates(self, schedule):
        first = schedule.scheduler(optimiser(), 7, 8)
        followed(first, 20)
        state = json.loads(json.dumps(first.state_dict()))
        second = schedule.scheduler(optimiser(), 7, 8)
        second.load_state_dict(state)
        assert second.get_last_lr() == first.get_last_lr()
        assert followed(second, 36) == schedule.rates(7, 8)[20:].tolist()

    @pytest.mark.parametrize("done", [0, 1, 56])
    def test_resumes_at_the_ends(self, done):
        schedule = Cosine(learning_rate=0.1)
        first = schedule.scheduler(optimiser(), 7, 8)
        followed(first, done)
        second = schedule.scheduler(optimiser(), 7, 8)
        second.load_state_dict(first.state_dict())
        assert followed(second, 56 - done) == schedule.rates(7, 8)[done:].tolist()

    @pytest.mark.parametrize(
        "other",
        [
            Cosine(learning_rate=0.2).scheduler(optimiser(), 7, 8),
            Cosine(learning_rate=0.1).scheduler(optimiser(), 7, 9),
            Constant(learning_rate=0.1).scheduler(optimiser(), 7, 8),
        ],
    )
    def test_refuses_the_state_of_another(self, other):
        scheduler = Cosine(learning_rate=0.1).scheduler(optimiser(), 7, 8)
        with pytest.raises(InputError, match=r"the state is of .* but this scheduler follows"):
            scheduler.load_state_dict(other.state_dict())

    def test_sets_all_parameter_groups(self):
        groups = [{"params": [torch.nn.Parameter(torch.ones(1))]} for _ in range(2)]
        sgd = torch.optim.SGD(groups, lr=1.0)
        Constant(learning_rate=0.1).scheduler(sgd, 1, 1)
        assert [group["lr"] for group in sgd.param_groups] == [0.1, 0.1]

    def test_refuses_parameter_groups_with_different_rates(self):
        groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": r} for r in (1.0, 0.1)]
        with pytest.raises(InputError, match=r"groups have the rates \[0\.1, 1\.0\]"):
            Constant(learning_rate=0.1).scheduler(torch.optim.SGD(groups), 1, 1)

    def test_keeps_a_rate_that_is_a_tensor_where_it_is(self):
        weight = torch.nn.Parameter(torch.ones(1))
        rate = torch.tensor(1.0, dtype=torch.float64)
        scheduler = Step(learning_rate=0.4, every=1, factor=0.5).scheduler(
            torch.optim.Adam([weight], lr=rate, capturable=False, foreach=False), 1, 2
        )
        assert float(rate) == 0.4
        scheduler.optimizer.step()
        scheduler.step()
        assert float(rate) == 0.2

    def test_ends_with_the_training(self):
        scheduler = Constant(learning_rate=0.1).scheduler(optimiser(), 2, 2)
        followed(scheduler, 4)
        with pytest.raises(InputError, match="step 5 of a training whose schedule has 4"):
            scheduler.step()

    def test_is_followed_by_the_training_loop(self):
        """With a constant gradient, SGD goes as far as the rates add up to."""
        schedule = GreScale(workers=3, learning_rate=0.01, warmup_epochs=1)
        model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(model.weight)
        sgd = torch.optim.SGD(model.parameters(), lr=1.0)
        fit(
            model, torch.ones(10, 1, dtype=torch.float64), torch.zeros(10, 1),
            loss=lambda output, _: -output.mean(), optimiser=sgd, batch_size=4, epochs=6,
            generator=torch.Generator().manual_seed(1), schedule=schedule.scheduler(sgd, 3, 6),
        )  # fmt: skip
        assert model.weight.item() == pytest.approx(schedule.rates(3, 6).sum(), rel=1e-12)


class TestAgainstTorch:
    """Torch multiplies from step to step, and so differs from a formula in the last bits."""

    def agree(self, schedule, theirs, epochs=50, steps_per_epoch=1):
        expected = followed(theirs, epochs * steps_per_epoch)
        assert schedule.rates(steps_per_epoch, epochs) == pytest.approx(expected, rel=1e-12)

    def test_step(self):
        self.agree(
            Step(learning_rate=0.5, every=7, factor=0.3),
            lr_scheduler.StepLR(optimiser(), step_size=7, gamma=0.3),
        )
        self.agree(
            Step(learning_rate=0.5, every=2.5, factor=0.3),
            lr_scheduler.StepLR(optimiser(), step_size=10, gamma=0.3),
            steps_per_epoch=4,
        )

    def test_milestones(self):
        self.agree(
            Milestones(learning_rate=0.5, at=(3, 20, 31), factor=0.1),
            lr_scheduler.MultiStepLR(optimiser(), milestones=[3, 20, 31], gamma=0.1),
        )

    def test_exponential(self):
        self.agree(
            Exponential(learning_rate=0.5, factor=0.9),
            lr_scheduler.ExponentialLR(optimiser(), gamma=0.9),
        )
        self.agree(
            Exponential(learning_rate=0.5, factor=0.9),
            lr_scheduler.ExponentialLR(optimiser(), gamma=0.9**0.25),
            steps_per_epoch=4,
        )

    @pytest.mark.parametrize("power", [0.9, 1.0, 3.0])
    def test_polynomial(self, power):
        self.agree(
            Polynomial(learning_rate=0.5, power=power),
            lr_scheduler.PolynomialLR(optimiser(), total_iters=50, power=power),
        )

    @pytest.mark.parametrize("final_rate", [0.0, 0.01])
    def test_cosine(self, final_rate):
        self.agree(
            Cosine(learning_rate=0.5, final_rate=final_rate),
            lr_scheduler.CosineAnnealingLR(optimiser(), T_max=50, eta_min=final_rate),
        )

    @pytest.mark.parametrize("half_cycle", [1, 4, 13])
    def test_cyclical(self, half_cycle):
        self.agree(
            Cyclical(learning_rate=0.5, highest_rate=2.0, half_cycle=half_cycle),
            lr_scheduler.CyclicLR(
                optimiser(momentum=0.9), 0.5, 2.0, step_size_up=half_cycle, cycle_momentum=False
            ),
        )

    def test_inverse_time_to_the_bit(self):
        theirs = lr_scheduler.LambdaLR(optimiser(5e-3), lambda step: 1 / (1 + 1e-3 * step))
        ours = InverseTime(learning_rate=5e-3, decay=1e-3).rates(50, 20)
        assert ours.tolist() == followed(theirs, 1000)


class TestRates:
    @NAMED
    @settings(max_examples=20)
    @given(steps=steps_per_epoch, epochs=st.integers(6, 40))
    def test_are_positive_finite_and_one_for_each_step(self, schedule, steps, epochs):
        rates = schedule.rates(steps, epochs)
        assert rates.shape == (steps * epochs,)
        assert np.all(np.isfinite(rates) & (rates > 0))

    @pytest.mark.parametrize("schedule", OF_ONE_WORKER, ids=lambda schedule: schedule.name)
    def test_begin_with_the_learning_rate(self, schedule):
        assert schedule.rates(5, 4)[0] == 0.1

    def test_have_the_bits_of_scalar_powers(self):
        """NumPy's powers of arrays have other last bits with AVX-512 than without."""
        rates = Exponential(learning_rate=1.0, factor=0.97).rates(1, 1000)
        assert rates.tolist() == [0.97 ** float(epoch) for epoch in range(1000)]

    @given(steps=steps_per_epoch, epochs=numbers_of_epochs, half=st.floats(1, 12))
    def test_cycle_stays_between_its_rates(self, steps, epochs, half):
        rates = Cyclical(learning_rate=0.1, highest_rate=0.3, half_cycle=half).rates(steps, epochs)
        assert rates.min() >= 0.1
        assert rates.max() <= 0.3 + 1e-15

    def test_that_vanish_are_refused(self):
        schedule = Exponential(learning_rate=0.1, factor=1e-200)
        with pytest.raises(InputError, match=r"the rate is 0\.0 in step 3 of 4; a rate must be"):
            schedule.rates(1, 4)

    def test_that_overflow_are_refused(self):
        one = Constant(learning_rate=1e308)
        with pytest.raises(InputError, match="the rate is inf in step 1 of 4"):
            LinearScaling(schedule=one, workers=8, warmup_epochs=0).rates(1, 4)


class TestLinearScaling:
    @pytest.mark.parametrize("schedule", OF_ONE_WORKER, ids=lambda schedule: schedule.name)
    @settings(max_examples=20)
    @given(k=workers, steps=steps_per_epoch, epochs=numbers_of_epochs)
    def test_without_warmup_is_the_number_of_workers(self, schedule, k, steps, epochs):
        scaled = LinearScaling(schedule=schedule, workers=k, warmup_epochs=0)
        assert np.array_equal(scaled.rates(steps, epochs), k * schedule.rates(steps, epochs))

    @given(k=workers, steps=steps_per_epoch, epochs=numbers_of_epochs, data=st.data())
    def test_warmup_is_even_and_continuous_at_its_end(self, k, steps, epochs, data):
        """Goyal et al. (2017), 2.2: a constant amount in each step, from the rate to k times it."""
        length = data.draw(st.integers(0, steps * epochs - 1))
        one = Constant(learning_rate=0.1)
        scaled = LinearScaling(schedule=one, workers=k, warmup_epochs=length / steps)
        rates = scaled.rates(steps, epochs)
        assert rates[length:].tolist() == [0.1 * k] * (steps * epochs - length)
        if length:
            assert rates[0] == 0.1
            assert np.diff(rates[: length + 1]) == pytest.approx(0.1 * (k - 1) / length, abs=1e-12)

    def test_leaves_the_milestones_of_one_worker_where_they_are(self):
        """Goyal et al. (2017), 5.1: 5 epochs of warm-up; divided by 10 at 30, 60 and 80 of 90."""
        one = Milestones(learning_rate=0.1, at=(30, 60, 80))
        rates = LinearScaling(schedule=one, workers=32).rates(10, 90)
        drops = np.flatnonzero(np.diff(rates) < 0) + 1
        assert drops.tolist() == [300, 600, 800]
        assert rates[[0, 50, 300, 600, 800]] == pytest.approx([0.1, 3.2, 0.32, 0.032, 0.0032])

    @pytest.mark.parametrize("warmup", [10, 11, 1e9])
    def test_warmup_must_leave_something(self, warmup):
        one = Constant(learning_rate=0.1)
        scaled = LinearScaling(schedule=one, workers=4, warmup_epochs=warmup)
        with pytest.raises(InputError, match=r"a warm-up of .* leaves nothing of a training of 10"):
            scaled.rates(3, 10)


class TestGreScale:
    def test_defaults_are_those_of_the_thesis(self):
        """Guedria (2020), 6.3.2 and 6.3.3: 5 epochs, then 4/7 and 3/7; initial rate 1e-5."""
        schedule = GreScale(workers=12)
        assert (schedule.learning_rate, schedule.warmup_epochs) == (1e-5, 5)
        assert schedule.phases(Length(10, 5 + 7)) == (50, 40, 30)

    @given(
        steps=steps_per_epoch,
        epochs=numbers_of_epochs,
        warmup=st.floats(0, 10),
        decay=st.none() | st.floats(0, 10),
    )
    def test_phases_add_up(self, steps, epochs, warmup, decay):
        length = Length(steps, epochs)
        schedule = GreScale(workers=2, warmup_epochs=warmup, decay_epochs=decay)
        try:
            phases = schedule.phases(length)
        except InputError:
            needed = length.steps_in(warmup) + (0 if decay is None else length.steps_in(decay))
            assert needed >= length.steps
            return
        assert sum(phases) == length.steps
        assert min(phases) >= 0
        if decay is None:
            assert abs(phases.decay - 3 / 7 * (length.steps - phases.warmup)) <= 0.5

    @given(k=workers, steps=steps_per_epoch, epochs=st.integers(6, 60), c=st.floats(0, 2))
    def test_is_continuous_and_reaches_k_times_the_rate(self, k, steps, epochs, c):
        schedule = GreScale(workers=k, learning_rate=0.1, decay=c)
        rates = schedule.rates(steps, epochs)
        warmup, stabilisation, decay = schedule.phases(Length(steps, epochs))
        assert rates[0] == 0.1
        assert rates[warmup : warmup + stabilisation].tolist() == [0.1 * k] * stabilisation
        assert rates[warmup] - rates[warmup - 1] == pytest.approx(0.1 * (k - 1) / warmup)
        falling = rates[warmup + stabilisation :]
        expected = 0.1 * k * np.exp(-c * np.arange(decay) / steps)
        assert falling == pytest.approx(expected, rel=1e-12)

    def test_longer_warmup_is_taken_from_the_stabilisation(self):
        """As the thesis says of a decay phase whose length is kept."""
        phases = [
            GreScale(workers=12, warmup_epochs=w, decay_epochs=30).phases(Length(1, 75))
            for w in (5, 8, 20)
        ]
        assert phases == [(5, 40, 30), (8, 37, 30), (20, 25, 30)]

    def test_decay_longer_than_what_is_left(self):
        schedule = GreScale(workers=12, decay_epochs=6)
        with pytest.raises(
            InputError, match=r"a warm-up of 5 epochs and a decay of 6 take longer .* of 10"
        ):
            schedule.rates(4, 10)

    @pytest.mark.parametrize("epochs", [1, 4, 5])
    def test_warmup_that_is_longer_than_the_training(self, epochs):
        with pytest.raises(InputError, match=f"warm-up of 5 epochs leaves nothing .* of {epochs};"):
            GreScale(workers=12).scheduler(optimiser(), 4, epochs)


class TestInput:
    @NAMED
    @pytest.mark.parametrize(("steps", "epochs"), [(0, 5), (5, 0), (-1, 5), (5, -2)])
    def test_training_without_steps(self, schedule, steps, epochs):
        with pytest.raises(InputError, match="has no steps; need at least one of both"):
            schedule.rates(steps, epochs)

    @NAMED
    def test_survives_a_file(self, schedule):
        assert read_schedule(json.loads(schedule.model_dump_json())) == schedule

    def test_cannot_be_changed(self):
        with pytest.raises(ValidationError, match="frozen"):
            Constant(learning_rate=0.1).learning_rate = 0.2

    @pytest.mark.parametrize("rate", [-0.1, 0, math.inf, math.nan, "fast", None])
    def test_rate_must_be_positive_and_finite(self, rate):
        with pytest.raises(InputError, match=r"^schedule\.learning_rate = .*: input should be"):
            read_schedule({"name": "constant", "learning_rate": rate})

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"name": "cosinus", "learning_rate": 1},
             "schedule: unknown name 'cosinus'; did you mean 'cosine'? Known: constant, cosine,"),
            ({"learning_rate": 1}, "schedule: has no name. Known: constant, cosine,"),
            ({"name": "cosine"}, "schedule.learning_rate: is missing; add it."),
            ({"name": "step", "learning_rate": 1, "every": 2, "facter": 0.5},
             "schedule: unknown key 'facter'; did you mean 'factor'? Known: every, factor,"),
            ({"name": "linear_scaling", "workers": 2, "schedule": {"name": "grescale"}},
             "schedule.schedule: unknown name 'grescale'"),
            ({"name": "linear_scaling", "workers": 0,
              "schedule": {"name": "constant", "learning_rate": -1}},
             "learning_rate = -1: input should be greater than 0.\nschedule.workers = 0: input"),
            ({"name": "linear_scaling", "workers": 2, "schedule": {"learning_rate": 1}},
             "schedule.schedule: has no name. Known: constant, cosine, cyclical, exponential, inv"),
            ({"name": "linear_scaling", "workers": 2,
              "schedule": {"name": "constant", "rate": 1, "learning_rate": 1}},
             "schedule.schedule: unknown key 'rate'"),
            ({"name": "cosine", "learning_rate": 0.1, "final_rate": 0.2},
             "final_rate 0.2 is above learning_rate 0.1"),
            ({"name": "cyclical", "learning_rate": 0.1, "highest_rate": 0.02},
             "highest_rate 0.02 is below learning_rate 0.1"),
            ({"name": "milestones", "learning_rate": 0.1, "at": [3, 2]},
             "at must be ascending, not (3.0, 2.0)"),
            ({"name": "milestones", "learning_rate": 0.1, "at": [3, -2]},
             "schedule.at = -2: input should be greater than 0."),
            ("cosine", "schedule = 'cosine': input should be a valid dictionary"),
        ],
    )  # fmt: skip
    def test_says_what_is_wrong(self, values, message):
        with pytest.raises(InputError) as caught:
            read_schedule(values)
        assert message in str(caught.value)

    def test_names_the_place(self):
        with pytest.raises(InputError, match=r"^run\.yaml: unknown name 'stp'; .* 'step'"):
            read_schedule({"name": "stp"}, where="run.yaml")

    @pytest.mark.parametrize(
        "schedule",
        [
            Step(learning_rate=0.1, every=0.01),
            Cyclical(learning_rate=0.1, highest_rate=1, half_cycle=0.01),
        ],
    )
    def test_duration_of_less_than_a_step(self, schedule):
        with pytest.raises(InputError, match=r"= 0\.01 epochs is less than one step of 10"):
            schedule.rates(10, 5)

    def test_every_schedule_is_tried_here(self):
        names = {schedule.name for schedule in SCHEDULES}
        with pytest.raises(InputError) as caught:
            read_schedule({})
        assert set(str(caught.value).partition("Known: ")[2].split(", ")) == names


def test_staircase_never_rises():
    rates = Step(learning_rate=0.1, every=1.5).rates(4, 9)
    assert all(later <= earlier for earlier, later in pairwise(rates))
    assert np.flatnonzero(np.diff(rates)).tolist() == [5, 11, 17, 23, 29]
