"""What a trace takes down in one process; for studies see tests/study/test_divergence.py."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from reprostats.learning.fingerprint import fingerprint
from reprostats.learning.trace import TraceOptions, tracing

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return make()


def step(model, optimiser, loss=None):
    optimiser.zero_grad()
    value = model(X).pow(2).sum() if loss is None else loss()
    value.backward()
    optimiser.step()


def traced(train, tmp_path, **options):
    with tracing(TraceOptions(**options), tmp_path) as trace:
        train()
    return trace


def first_difference(train, tmp_path, changes=(False, True)):
    one, other = (traced(lambda each=each: train(each), tmp_path) for each in changes)
    return next((a for a, b in zip(one.events, other.events, strict=True) if a != b), None)


class TestSees:
    def test_buffers(self, tmp_path):
        """Batch normalisation whose running mean alone differs."""

        def train(changed):
            model = seeded(lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))
            model[1].momentum = 0.2 if changed else 0.1
            step(model, torch.optim.SGD(model.parameters(), 0.01))

        found = first_difference(train, tmp_path)
        assert (found.step, found.phase, found.place) == (0, "update", "Sequential.1.running_mean")

    def test_weights_that_no_optimiser_holds(self, tmp_path):
        """A teacher that is an average of the student's weights."""

        def train(changed):
            student, teacher = (seeded(lambda: nn.Linear(4, 1)) for _ in range(2))
            teacher(X)
            step(student, torch.optim.SGD(student.parameters(), 0.01))
            with torch.no_grad():
                teacher.weight.lerp_(student.weight, 0.2 if changed else 0.1)

        found = first_difference(train, tmp_path)
        assert (found.phase, found.place) == ("end", "Linear.weight")

    def test_module_that_works_in_place(self, tmp_path):
        def train(changed):
            model = seeded(
                lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5, inplace=True), nn.ReLU())
            )
            with torch.random.fork_rng():
                torch.manual_seed(2 if changed else 3)
                step(model, torch.optim.SGD(model.parameters(), 0.01))

        found = first_difference(train, tmp_path)
        assert (found.phase, found.place) == ("forward", "Sequential.1")

    def test_both_of_two_optimisers(self, tmp_path):
        one, other = (seeded(lambda: nn.Linear(4, 1)) for _ in range(2))
        optimisers = [torch.optim.SGD(each.parameters(), 0.01) for each in (one, other)]

        def train():
            for _ in range(2):
                for model, optimiser in zip((one, other), optimisers, strict=True):
                    step(model, optimiser)

        trace = traced(train, tmp_path, snapshots=(3,))
        assert trace.steps == 4
        from safetensors.torch import load_file

        assert len(load_file(tmp_path / "step-3.safetensors")) == 4

    def test_sparse_gradients(self, tmp_path):
        def train():
            model = nn.Embedding(5, 2, sparse=True)
            model(torch.tensor([1, 2])).sum().backward()
            torch.optim.SGD(model.parameters(), 0.1).step()

        trace = traced(train, tmp_path)
        number = [event.what for event in trace.events].index("gradient")
        traced(train, tmp_path, save_event=number)
        assert (tmp_path / "event.safetensors").exists()


class TestNames:
    def test_child_called_by_itself_keeps_its_name(self, tmp_path):
        model = seeded(lambda: nn.Sequential(nn.Sequential(nn.Linear(4, 2)), nn.Linear(2, 1)))

        def train():
            model(X)
            model[0](X)

        events = traced(train, tmp_path).events
        assert [each.place for each in events].count("Sequential.0.0.weight") == 2  # first and end
        assert {each.place.split(".")[0] for each in events} == {"Sequential"}

    def test_layer_that_is_added_later(self, tmp_path):
        model = seeded(lambda: nn.Sequential(nn.Linear(4, 2)))

        def train():
            model(X)
            model.append(nn.Linear(2, 1))
            model(X)

        assert "Sequential.1" in {each.place for each in traced(train, tmp_path).events}

    def test_two_networks_of_one_class(self, tmp_path):
        def train():
            for model in (nn.Linear(4, 1), nn.Linear(4, 1)):
                model(X)

        places = {each.place for each in traced(train, tmp_path).events}
        assert {"Linear", "Linear 2", "Linear 2.weight"} <= places


class TestOperations:
    def test_functional_operations_belong_to_the_module_that_calls_them(self, tmp_path):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 1)

            def forward(self, x):
                return self.two(functional.relu(self.one(x)))

        model = seeded(Net)
        optimiser = torch.optim.SGD(model.parameters(), 0.01)
        trace = traced(lambda: step(model, optimiser), tmp_path, operations_at=0)
        places = {(each.phase, each.place, each.name) for each in trace.operations}
        assert ("forward", "Net", "aten.relu.default") in places
        assert ("backward", "Net", "aten.threshold_backward.default") in places
        assert ("forward", "Net.two", "aten.addmm.default") in places
        assert any(phase == "update" for phase, _, _ in places)

    @pytest.mark.parametrize("draw", ["exponential_", "uniform_", "normal_", "cauchy_"])
    def test_memory_that_is_overwritten_is_no_input(self, tmp_path, draw):
        def train(fill):
            generator = torch.Generator().manual_seed(1)
            getattr(torch.full((3,), fill), draw)(generator=generator)

        one, other = (
            traced(lambda fill=fill: train(fill), tmp_path, operations_at=0).operations[-1]
            for fill in (0.0, 1.0)
        )
        assert one == other

    def test_what_out_names_is_no_input(self, tmp_path):
        one, other = (
            traced(
                lambda fill=fill: torch.add(X, 1, out=torch.full((8, 4), fill)),
                tmp_path,
                operations_at=0,
            ).operations[-1]
            for fill in (0.0, 1.0)
        )
        assert one == other


@pytest.mark.parametrize(
    "options", [{"detail": "step"}, {"detail": "module"}, {"operations_at": 1}]
)
def test_tracing_changes_no_bit(tmp_path, options):
    def train():
        model = seeded(lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 1)))
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            for _ in range(3):
                step(model, optimiser)
        return fingerprint(model.state_dict())

    plain = train()
    with tracing(TraceOptions(**options), tmp_path):
        assert train() == plain


def test_ends_after_the_step_that_was_asked_for(tmp_path):
    model = seeded(lambda: nn.Linear(4, 1))
    optimiser = torch.optim.SGD(model.parameters(), 0.01)
    trace = traced(lambda: [step(model, optimiser) for _ in range(5)], tmp_path, stop_after=1)
    assert trace.steps == 2
    assert max(each.step for each in trace.events) == 1


def test_one_element_with_any_stride_has_a_digest():
    from reprostats.learning.fingerprint import quick_digest

    for dtype in (torch.float32, torch.bfloat16, torch.bool, torch.complex64):
        plain = torch.ones(1, dtype=dtype)
        assert quick_digest(plain.as_strided((1,), (0,))) == quick_digest(plain)
