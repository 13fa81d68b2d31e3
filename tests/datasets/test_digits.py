import gzip
import os
from pathlib import Path

import pytest
import torch
from sklearn import datasets

from reprostats.datasets import digits
from reprostats.errors import DamagedFileError, InputError, NotAvailableError

MNIST = Path(os.environ.get("REPROSTATS_DATA", "data/raw")) / "mnist"


def test_digits_are_those_of_scikit_learn():
    data = digits.load("digits")
    bunch = datasets.load_digits()
    assert len(data.labels) + len(data.test_labels) == 1797
    first = data.images[0, 0, 4:28, 4:28]
    assert torch.equal(first[::3, ::3], torch.from_numpy(bunch.images[0] / 16).float())
    assert torch.equal(first[1::3, 2::3], first[::3, ::3])
    assert not data.images[:, :, :4].any()
    assert data.images.max() == 1
    pixels, target = digits._scikit_learns()
    assert (pixels == bunch.images).all()
    assert (target == bunch.target).all()


def test_every_class_is_tested_on():
    data = digits.load("digits")
    shares = data.test_labels.bincount() / (data.labels.bincount() + data.test_labels.bincount())
    assert shares.min() > 0.19
    assert shares.max() < 0.21


def test_hold_out_divides_and_keeps_shares():
    labels = torch.tensor([0] * 60 + [1] * 30)
    kept, held = digits.hold_out(labels, 1 / 6, torch.Generator().manual_seed(1))
    assert sorted(torch.cat([kept, held]).tolist()) == list(range(90))
    assert labels[held].bincount().tolist() == [10, 5]


def test_unknown_name():
    with pytest.raises(InputError, match="unknown data set 'minst'; did you mean 'mnist'"):
        digits.load("minst")


class TestMnist:
    def test_missing_file_is_named_with_what_to_do(self, tmp_path, monkeypatch):
        monkeypatch.setenv("REPROSTATS_DATA", str(tmp_path))
        with pytest.raises(
            NotAvailableError, match=r"train-images-idx3-ubyte\.gz is missing.*REPROS"
        ):
            digits.load("mnist")

    @pytest.mark.parametrize(
        "content", [gzip.compress(b"\0\0\x08\x03" + bytes(12), mtime=0), b"no gzip", b""]
    )
    def test_other_content_is_refused(self, tmp_path, content):
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
        with pytest.raises(DamagedFileError, match=r"train-images-idx3-ubyte\.gz: "):
            digits.load_mnist(tmp_path)

    @pytest.mark.skipif(
        not MNIST.is_dir(), reason="MNIST is not in the folder REPROSTATS_DATA names"
    )
    def test_is_read_whole(self):
        data = digits.load_mnist(MNIST)
        assert data.images.shape == (60000, 1, 32, 32)
        assert data.test_images.shape == (10000, 1, 32, 32)
        assert data.labels[:5].tolist() == [5, 0, 4, 1, 9]
        assert data.test_labels.bincount().tolist() == [
            980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
        ]  # fmt: skip
