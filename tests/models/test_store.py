"""The store of networks: what goes in comes out, and what is not right is refused and said."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from reprostats.errors import DamagedFileError, InputError, NotAvailableError
from reprostats.models.card import Card
from reprostats.models.fcn import FCN
from reprostats.models.store import load, publish, restore
from reprostats.models.unet import UNet

PARAMETERS = {"widths": (2, 4), "normalisation": "batch"}
CARD = {
    "name": "lv-unet",
    "task": "segmentation of the left ventricle",
    "architecture": {"name": "reprostats.models.unet:UNet", "parameters": PARAMETERS},
    "data": "Sunnybrook, 33 patients for training",
    "metrics": {
        "dice": {"median": 0.9, "sd": 0.01, "interval": (0.88, 0.91), "repeats": 7},
        "once": {"median": 0.5, "repeats": 1},
    },
    "license": "CC-BY-4.0",
    "record": {"path": "record.json", "sha256": "0" * 64},
}


def network(seed: int = 1) -> UNet:
    torch.manual_seed(seed)
    return UNet(**PARAMETERS)


@pytest.fixture
def empty(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(empty) -> Path:
    publish(network(), CARD, empty)
    return empty


@pytest.fixture
def published(store) -> Path:
    return store / "lv-unet" / "1"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def url(store, published, tmp_path, monkeypatch) -> Iterator[str]:
    """Serve the store, and keep what is downloaded in a folder of this test's own."""
    monkeypatch.setenv("REPROSTATS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(store)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def changed_card(folder: Path, **fields) -> None:
    path = folder / "card.yaml"
    content = YAML(typ="safe", pure=True).load(path.read_text())
    with path.open("w") as file:
        YAML().dump(content | fields, file)


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class TestWhatGoesIn:
    def test_comes_out(self, store, published):
        state, card = load("lv-unet", store)
        assert same(state, network().state_dict())
        given = Card.model_validate(CARD)
        assert card.model_dump(include=set(Card.model_fields)) == given.model_dump()
        weights = (published / "weights.safetensors").read_bytes()
        assert card.weights_sha256 == hashlib.sha256(weights).hexdigest()
        assert card.torch == torch.__version__
        assert published == store / "lv-unet" / "1"

    def test_a_state_and_a_card_object_do_as_well(self, store, published):
        assert publish(network().state_dict(), Card.model_validate(CARD), store) == published

    def test_is_built_again_from_the_card(self, store):
        state, card = load("lv-unet", store)
        model = UNet(**card.architecture.parameters)
        model.load_state_dict(state)

    def test_tensors_that_share_memory(self, empty):
        weight = torch.ones(2, 3)
        publish({"one": weight, "other": weight.T}, CARD, empty)
        state, _ = load("lv-unet", empty)
        assert state["other"].shape == (3, 2)

    def test_the_same_again_changes_nothing(self, store, published):
        before = (published / "card.yaml").stat()
        assert publish(network(), CARD, store) == published
        assert (published / "card.yaml").stat() == before

    def test_nothing_is_overwritten(self, store, published):
        before = {path: path.read_bytes() for path in published.iterdir()}
        with pytest.raises(InputError, match=r"other weights_sha256\. .* publish as version 2"):
            publish(network(2), CARD, store)
        with pytest.raises(InputError, match=r"other task, notes\. "):
            publish(network(), {**CARD, "task": "another", "notes": "new"}, store)
        assert {path: path.read_bytes() for path in published.iterdir()} == before
        assert [each.name for each in published.parent.iterdir()] == ["1"]

    def test_versions_stand_side_by_side(self, store):
        publish(network(2), {**CARD, "version": 2}, store)
        assert same(load("lv-unet", store)[0], network().state_dict())
        assert same(load("lv-unet", store, version=2)[0], network(2).state_dict())

    def test_appears_whole_or_not_at_all(self, empty, monkeypatch):
        def full(path, content):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("reprostats.models.store.write_atomically", full)
        with pytest.raises(OSError, match="No space left"):
            publish(network(), CARD, empty)
        assert list((empty / "lv-unet").iterdir()) == []

    def test_of_several_at_once_one_is_published(self, empty):
        states = [network(seed).state_dict() for seed in range(8)]
        with ThreadPoolExecutor(8) as pool:
            outcomes = [pool.submit(publish, state, CARD, empty) for state in states]
        (winner,) = (n for n, each in enumerate(outcomes) if each.exception() is None)
        assert same(load("lv-unet", empty)[0], states[winner])
        losers = [each.exception() for each in outcomes if each.exception()]
        assert all("is published already" in str(error) for error in losers)
        assert [each.name for each in (empty / "lv-unet").iterdir()] == ["1"]

    def test_only_tensors(self, empty):
        with pytest.raises(InputError, match="something other than tensors: step"):
            publish({"weight": torch.ones(1), "step": 3}, CARD, empty)
        with pytest.raises(InputError, match="no weights"):
            publish(torch.nn.ReLU(), {**CARD, "architecture": {"name": "relu"}}, empty)

    def test_another_network_than_the_card_says(self, empty):
        with pytest.raises(InputError, match=r"'reprostats.models.unet:UNet', but the network is"):
            publish(FCN(widths=(2,), convolutions=(1,), head_width=2), CARD, empty)


class TestCards:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"nmae": "x"}, "card: unknown field 'nmae'; did you mean 'name'"),
            ({"name": "../x"}, r"card: name = '../x': string should match"),
            ({"task": ""}, "card: task = '': string should have at least 1"),
            ({"version": 0}, "card: version = 0: input should be greater"),
            ({"metrics": {}}, "card: metrics: dictionary should have at least 1"),
            ({"metrics": {"dice": {"median": 1, "repeat": 1}}},
             r"card.metrics.dice: unknown field 'repeat'; did you mean 'repeats'"),
            ({"metrics": {"dice": {"median": 0.9, "repeats": 7}}},
             r"card: metrics.dice: more than one repeat needs the sd"),
            ({"metrics": {"dice": {"median": 0.9, "sd": 0.1, "repeats": 1}}},
             r"card: metrics.dice: one repeat has no sd"),
            ({"metrics": {"dice": {"median": 0.9, "sd": 0.1, "repeats": 7, "interval": (1, 0)}}},
             "low end is above its high end"),
            ({"metrics": {"dice": {"median": float("nan"), "repeats": 1}}}, "finite number"),
            ({"record": {"path": "x", "sha256": "abc"}}, r"card: record.sha256 = 'abc'"),
            ({"architecture": {"name": "unet", "parameters": {"rule": torch.nn.ReLU}}},
             r"card: architecture.parameters.*valid JSON"),
        ],
    )  # fmt: skip
    def test_mistakes_are_said_with_their_place(self, empty, fields, message):
        with pytest.raises(InputError, match=message):
            publish(network(), {**CARD, **fields}, empty)
        assert not empty.exists()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("name: [", r"card.yaml: the card is not YAML \("),
            ("- name", r"card.yaml: the card is not a mapping"),
            ("name: lv-unet", r"card.yaml: task: field required"),
            ("", r"card.yaml: the card is not a mapping"),
            ("a: !!python/object:os.system x", r"card.yaml: the card is not YAML"),
        ],
    )
    def test_damaged(self, store, published, text, message):
        (published / "card.yaml").write_text(text)
        with pytest.raises(DamagedFileError, match=message):
            load("lv-unet", store)

    def test_not_text(self, store, published):
        (published / "card.yaml").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DamagedFileError, match=r"card.yaml: the card is not YAML"):
            load("lv-unet", store)

    def test_of_another_network(self, store, published):
        changed_card(published, version=3)
        with pytest.raises(DamagedFileError, match="is the card of 'lv-unet', version 3"):
            load("lv-unet", store)


class TestWhatIsNotThere:
    def test_store(self, tmp_path):
        with pytest.raises(NotAvailableError, match="no such folder, so no store"):
            load("lv-unet", tmp_path / "nowhere")

    def test_name(self, store):
        with pytest.raises(NotAvailableError, match=r"has no 'lv-net', version 1.* names: lv-unet"):
            load("lv-net", store)

    def test_version(self, store):
        with pytest.raises(NotAvailableError, match=r"has no 'lv-unet', version 4.* versions: 1"):
            load("lv-unet", store, version=4)

    @pytest.mark.parametrize("name", ["..", "a/b", "", "Name"])
    def test_what_is_no_name(self, store, name):
        with pytest.raises(InputError, match="no network of a store is called"):
            load(name, store)

    @pytest.mark.parametrize("missing", ["card.yaml", "weights.safetensors"])
    def test_file(self, store, published, missing):
        (published / missing).unlink()
        with pytest.raises(DamagedFileError, match=missing):
            load("lv-unet", store)


class TestChecksums:
    def test_one_bit(self, store, published):
        flip_last_bit(published / "weights.safetensors")
        with pytest.raises(DamagedFileError, match=r"has the SHA-256 .* but its card says"):
            load("lv-unet", store)

    def test_known_beforehand(self, store):
        _, card = load("lv-unet", store)
        load("lv-unet", store, sha256=card.weights_sha256)
        with pytest.raises(InputError, match=r"but 0000.* was asked for"):
            load("lv-unet", store, sha256="0" * 64)

    def test_right_but_of_no_weights(self, store, published):
        (published / "weights.safetensors").write_bytes(b"nothing")
        changed_card(published, weights_sha256=hashlib.sha256(b"nothing").hexdigest())
        with pytest.raises(DamagedFileError, match="is no safetensors file"):
            load("lv-unet", store)


class TestFromURL:
    def test_is_what_is_in_the_folder(self, store, url):
        state, card = load("lv-unet", url)
        assert same(state, load("lv-unet", store)[0])
        assert card == load("lv-unet", store)[1]

    def test_is_not_downloaded_again(self, url, published):
        load("lv-unet", url)
        for path in published.iterdir():
            path.unlink()
        load("lv-unet", url)

    def test_tampered_weights(self, url, published, tmp_path):
        flip_last_bit(published / "weights.safetensors")
        with pytest.raises(DamagedFileError, match=r"http.*/weights.safetensors: has not the SHA"):
            load("lv-unet", url)
        assert list((tmp_path / "data").rglob("*.safetensors")) == []

    def test_what_was_damaged_here_is_downloaded_again(self, url, tmp_path):
        load("lv-unet", url)
        (mirrored,) = (tmp_path / "data").rglob("*.safetensors")
        flip_last_bit(mirrored)
        load("lv-unet", url)

    def test_damaged_card_is_not_kept(self, url, published):
        path = published / "card.yaml"
        good = path.read_text()
        path.write_text("name: lv-unet")
        with pytest.raises(DamagedFileError, match=r"http://127.0.0.1.*task: field required"):
            load("lv-unet", url)
        path.write_text(good)
        load("lv-unet", url)

    def test_missing(self, url):
        with pytest.raises(
            NotAvailableError, match=r"lv-net/1/card.yaml: cannot be downloaded .404"
        ):
            load("lv-net", url)

    def test_no_server(self, tmp_path, monkeypatch):
        monkeypatch.setenv("REPROSTATS_DATA", str(tmp_path))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as closed:
            port = closed.server_port
        with pytest.raises(NotAvailableError, match="cannot be downloaded"):
            load("lv-unet", f"http://127.0.0.1:{port}")


class TestRestore:
    def test_gives_the_same_outputs(self, store):
        model = network(2)
        card = restore(model, "lv-unet", store)
        assert same(model.state_dict(), network().state_dict())
        assert card.metrics["dice"].interval == (0.88, 0.91)

    @pytest.mark.parametrize(
        "name",
        ["reprostats.models.unet:UNet", "reprostats.models.unet.UNet", "unet", "mine.py:UNet"],
    )
    def test_names_of_an_architecture(self, empty, name):
        publish(network(), {**CARD, "architecture": {"name": name}}, empty)
        restore(network(2), "lv-unet", empty)

    def test_other_architecture(self, store):
        model = FCN(widths=(2,), convolutions=(1,), head_width=2)
        with pytest.raises(
            InputError,
            match=r"architecture is 'reprostats.models.unet:UNet', but the network is "
            r"reprostats.models.fcn:FCN",
        ):
            restore(model, "lv-unet", store)

    def test_other_sizes_change_nothing(self, store):
        model = UNet(widths=(2, 4, 8), normalisation="batch", out_channels=2)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with pytest.raises(InputError, match="lv-unet, version 1 do not fit") as caught:
            restore(model, "lv-unet", store)
        assert "Missing: down.2.0.weight" in str(caught.value)
        assert "up.0.enlarge.bias (2,) in place of (4,)" in str(caught.value)
        assert same(model.state_dict(), before)

    def test_a_card_imports_nothing(self, empty):
        """A card may come from anywhere, so what it names is compared and never imported."""
        name = "reprostats.no_such_module:Net"
        publish(network().state_dict(), {**CARD, "architecture": {"name": name}}, empty)
        with pytest.raises(InputError, match=r"architecture is 'reprostats.no_such_module:Net'"):
            restore(network(), "lv-unet", empty)
