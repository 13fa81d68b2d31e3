import pytest
import torch
from torch import nn

from reprostats.errors import DivergedError, InputError
from reprostats.learning.fingerprint import fingerprint
from reprostats.learning.loop import Callback, fit, predict


@pytest.fixture
def samples():
    inputs = torch.linspace(-1, 1, 60).reshape(20, 3)
    return inputs, inputs.sum(1, keepdim=True)


def trained(samples, *, order: int = 1, rate: float = 0.1, epochs: int = 3, callbacks=()):
    model = nn.Linear(3, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    losses = fit(
        model,
        *samples,
        loss=nn.functional.mse_loss,
        optimiser=torch.optim.SGD(model.parameters(), rate),
        batch_size=8,
        epochs=epochs,
        generator=torch.Generator().manual_seed(order),
        callbacks=callbacks,
    )
    return model, losses


def test_equals_a_loop_written_out(samples):
    inputs, targets = samples
    model, losses = trained(samples)
    plain = nn.Linear(3, 1)
    nn.init.zeros_(plain.weight)
    nn.init.zeros_(plain.bias)
    optimiser = torch.optim.SGD(plain.parameters(), 0.1)
    generator = torch.Generator().manual_seed(1)
    expected = []
    for _ in range(3):
        total = 0.0
        for batch in torch.randperm(20, generator=generator).split(8):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(plain(inputs[batch]), targets[batch])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        expected.append(total / 20)
    assert torch.equal(model.weight, plain.weight)
    sizes = torch.tensor([8.0, 8.0, 4.0])
    assert (losses @ sizes / 20).tolist() == pytest.approx(expected, rel=1e-6)


def test_order_decides_the_bits(samples):
    one, other = trained(samples, order=1)[0], trained(samples, order=2)[0]
    assert not torch.equal(one.weight, other.weight)


def test_draws_from_no_global_generator(samples):
    model = nn.Linear(3, 1)
    before = torch.get_rng_state()
    fit(
        model,
        *samples,
        loss=nn.functional.mse_loss,
        optimiser=torch.optim.SGD(model.parameters(), 0.1),
        batch_size=8,
        epochs=1,
        generator=torch.Generator().manual_seed(1),
    )
    assert torch.equal(torch.get_rng_state(), before)


def test_divergence_names_the_epoch(samples):
    with pytest.raises(DivergedError, match=r"the training loss is (inf|nan) in epoch \d+ of 200"):
        trained(samples, rate=1e6, epochs=200)


@pytest.mark.parametrize(("inputs", "targets"), [(3, 4), (0, 0)])
def test_numbers_of_samples_must_fit(inputs, targets):
    with pytest.raises(InputError, match=f"{inputs} inputs and {targets} targets"):
        trained((torch.zeros(inputs, 3), torch.zeros(targets, 1)))


def test_numbers_of_samples_must_fit_in_tuples():
    ones = torch.ones(3, 1)
    with pytest.raises(InputError, match="3 and 2 inputs and 3 targets"):
        trained(((ones, ones[:2]), ones))
    with pytest.raises(InputError, match="no inputs and 3 targets"):
        trained(((), ones))


class _Sum(nn.Module):
    """Two inputs, one weight each."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2))

    def forward(self, one, other):
        return self.weights[0] * one + self.weights[1] * other


def test_tuples_are_passed_on_tensor_by_tensor(samples):
    """Two targets of which the loss takes the mean are as good as their mean."""
    inputs, targets = samples

    def fitted(wanted, loss):
        model = _Sum()
        settings = {"batch_size": 8, "epochs": 3, "generator": torch.Generator().manual_seed(1)}
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        given = (inputs[:, :1], inputs[:, 1:2])
        losses = fit(model, given, wanted, loss=loss, optimiser=optimiser, **settings)
        return predict(model, given, batch_size=7), losses

    def of_two(output, one, other):
        return nn.functional.mse_loss(output, (one + other) / 2)

    one, other = fitted(targets, nn.functional.mse_loss), fitted((targets, targets), of_two)
    assert all(map(torch.equal, one, other))
    assert one[1][-1].mean() < one[1][0].mean()


def test_augmentation_gets_tuples_where_tuples_were_given(samples):
    seen = []

    def augment(inputs, targets):
        seen.append((type(inputs), len(inputs), type(targets)))
        return inputs, targets

    model = _Sum()
    fit(
        model,
        (samples[1], samples[1]),
        samples[1],
        loss=nn.functional.mse_loss,
        optimiser=torch.optim.SGD(model.parameters(), 0.1),
        batch_size=20,
        epochs=1,
        generator=torch.Generator().manual_seed(1),
        augment=augment,
    )
    assert seen == [(tuple, 2, torch.Tensor)]


def test_predict_uses_evaluation_mode_and_keeps_order():
    model = nn.Sequential(nn.Dropout(0.5))
    inputs = torch.arange(10.0).reshape(10, 1)
    assert torch.equal(predict(model, inputs, batch_size=3), inputs)


class Diary(Callback):
    """Writes down what it is told, and where the run then is."""

    def __init__(self, stop_after: int = 0):
        self.lines, self.stop_after = [], stop_after

    def note(self, what, run):
        self.lines.append((what, run.epoch, run.step, len(run.losses)))

    def started(self, run):
        self.note("started", run)

    def stepped(self, run):
        self.note("stepped", run)
        if len(run.losses) == self.stop_after:
            run.stop("enough")

    def epoch_ended(self, run):
        self.note("epoch ended", run)

    def ended(self, run):
        self.note(f"ended, {run.stopped}", run)

    def failed(self, run, error):
        self.note(type(error).__name__, run)


class TestCallbacks:
    def test_are_told_of_every_step_and_epoch(self, samples):
        diary = Diary()
        trained(samples, epochs=2, callbacks=[diary])
        assert diary.lines == [
            ("started", 1, 0, 0),
            ("stepped", 1, 1, 1),
            ("stepped", 1, 2, 2),
            ("stepped", 1, 3, 3),
            ("epoch ended", 1, 3, 3),
            ("stepped", 2, 1, 4),
            ("stepped", 2, 2, 5),
            ("stepped", 2, 3, 6),
            ("epoch ended", 2, 3, 6),
            ("ended, None", 2, 3, 6),
        ]

    def test_change_no_bits(self, samples):
        alone, watched = trained(samples), trained(samples, callbacks=[Diary()])
        assert torch.equal(alone[0].weight, watched[0].weight)
        assert torch.equal(alone[1], watched[1])

    def test_see_losses_that_are_those_returned(self, samples):
        class Look(Callback):
            def __init__(self):
                self.last, self.all = [], None

            def stepped(self, run):
                self.last.append(run.loss)

            def ended(self, run):
                self.all = run.losses

        look = Look()
        losses = trained(samples, callbacks=[look])[1]
        assert torch.equal(look.all, losses.flatten())
        assert look.last == losses.flatten().tolist()

    def test_can_stop_within_an_epoch(self, samples):
        diary = Diary(stop_after=4)
        losses = trained(samples, callbacks=[diary])[1]
        assert diary.lines[-1] == ("ended, enough", 2, 1, 4)
        assert losses.shape == (2, 3)
        assert torch.isnan(losses).flatten().tolist() == [False] * 4 + [True] * 2

    def test_can_stop_with_an_epoch(self, samples):
        diary = Diary(stop_after=3)
        losses = trained(samples, callbacks=[diary])[1]
        assert [line[0] for line in diary.lines[-2:]] == ["epoch ended", "ended, enough"]
        assert losses.shape == (1, 3)

    def test_are_told_of_a_divergence(self, samples):
        diary = Diary()
        with pytest.raises(DivergedError):
            trained(samples, rate=1e6, epochs=200, callbacks=[diary])
        assert diary.lines[-1][0] == "DivergedError"

    def test_may_evaluate_at_the_end_of_an_epoch(self, samples):
        modes = []

        class Evaluate(Callback):
            def epoch_ended(self, run):
                predict(run.model, samples[0], batch_size=8)

            def stepped(self, run):
                modes.append(run.model.training)

        trained(samples, callbacks=[Evaluate()])
        assert all(modes)


class TestFingerprint:
    def test_one_bit_counts(self):
        weight = torch.ones(3)
        changed = weight.clone()
        changed[1] = torch.nextafter(changed[1], torch.tensor(2.0))
        assert fingerprint({"w": weight}) != fingerprint({"w": changed})

    def test_sign_of_zero_counts(self):
        assert fingerprint({"w": torch.tensor([0.0])}) != fingerprint({"w": torch.tensor([-0.0])})

    def test_type_shape_and_name_count(self):
        ones = torch.ones(4)
        others = [{"v": ones}, {"w": ones.double()}, {"w": ones.reshape(2, 2)}]
        assert all(fingerprint({"w": ones}) != fingerprint(other) for other in others)

    def test_layout_in_memory_does_not(self):
        matrix = torch.arange(6.0).reshape(2, 3)
        assert fingerprint({"w": matrix.T}) == fingerprint({"w": matrix.T.contiguous()})

    def test_scalars_and_half_precision(self):
        assert (
            len(fingerprint({"n": torch.tensor(3), "h": torch.ones(2, dtype=torch.bfloat16)})) == 64
        )
