"""One list of networks for experiments and `reprostats train`."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from reprostats.models.fcn import FCN
from reprostats.models.registry import NETWORKS, network
from reprostats.train.extensions import ExtensionError, find


@pytest.mark.parametrize("name", NETWORKS)
def test_every_name_is_a_network_and_train_knows_it(name):
    assert issubclass(network(name), nn.Module)
    assert find("model", name, Path()) is network(name)


def test_what_is_registered_is_known_to_both(monkeypatch):
    with pytest.raises(ExtensionError, match="there is no model 'own'"):
        find("model", "own", Path())
    monkeypatch.setitem(NETWORKS, "own", "reprostats.models.fcn:FCN")
    assert network("own") is find("model", "own", Path()) is FCN


def test_names_are_read_without_pytorch():
    program = "import sys, reprostats.models.registry; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
