"""Folders of images and masks: what is read, and everything wrong with them told at once."""

import contextlib

import numpy as np
import pytest
from PIL import Image

from reprostats.datasets import image_folders
from reprostats.datasets.image_folders import load_folder, pair_files, read_image, read_mask
from reprostats.errors import InputError, NotAvailableError


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)


@pytest.fixture
def folder(tmp_path):
    for name, value in (("a", 1), ("b", 2)):
        save(tmp_path / "images" / f"{name}.png", np.full((4, 6), 1000 * value, np.uint16))
        save(tmp_path / "masks" / f"{name}.png", np.eye(4, 6, dtype=np.uint8) * value)
    return tmp_path


def message(folder, **settings) -> str:
    with pytest.raises(InputError) as caught:
        load_folder(folder, **settings)
    return str(caught.value)


class TestReading:
    def test_pairs_come_in_the_order_of_their_names(self, folder):
        samples = load_folder(folder)
        assert [sample.name for sample in samples] == ["a", "b"]
        assert samples[1].image.dtype == np.uint16
        assert (samples[1].image == 2000).all()
        assert np.array_equal(samples[1].mask, 2 * np.eye(4, 6))

    def test_masks_may_lie_under_labels_and_have_another_suffix(self, folder):
        (folder / "masks").rename(folder / "labels")
        Image.open(folder / "labels" / "a.png").save(folder / "labels" / "a.TIFF")
        (folder / "labels" / "a.png").unlink()
        assert [pair.mask.name for pair in pair_files(folder)] == ["a.TIFF", "b.png"]
        assert load_folder(folder)[0].mask.sum() == 4

    def test_hidden_files_are_passed_over(self, folder):
        (folder / "images" / ".DS_Store").write_bytes(b"left by a system")
        assert len(load_folder(folder)) == 2

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    @pytest.mark.parametrize(
        "pixels",
        [
            np.arange(24, dtype=np.uint8).reshape(4, 6),
            (1000 * np.arange(24)).astype(np.uint16).reshape(4, 6),
            np.eye(4, 6, dtype=bool),
        ],
    )
    def test_pixels_are_as_stored(self, tmp_path, suffix, pixels):
        save(tmp_path / f"x{suffix}", pixels)
        for read in (read_image, read_mask):
            found = read(tmp_path / f"x{suffix}")
            assert np.array_equal(found, pixels)
            assert found.dtype == (np.uint8 if pixels.dtype == bool else pixels.dtype)

    def test_floating_point_tiff(self, tmp_path):
        save(tmp_path / "x.tif", np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
        assert read_image(tmp_path / "x.tif").min() == -1

    def test_colours_become_their_luminance(self, tmp_path):
        """ITU-R 601: 0.299 R + 0.587 G + 0.114 B."""
        save(tmp_path / "x.png", np.full((2, 3, 3), (200, 100, 50), np.uint8))
        assert (read_image(tmp_path / "x.png") == 124).all()

    def test_masks_with_a_palette_give_the_numbers_of_its_entries(self, tmp_path):
        image = Image.new("P", (2, 2))
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        image.putdata([0, 1, 2, 1])
        image.save(tmp_path / "x.png")
        assert read_mask(tmp_path / "x.png").tolist() == [[0, 1], [2, 1]]

    @pytest.mark.parametrize("channels", [3, 4])
    def test_colours_of_masks_are_numbered_and_black_is_background(self, tmp_path, channels):
        pixels = np.zeros((2, 2, channels), np.uint8)
        pixels[0, 1, 0], pixels[1, 0, 1], pixels[1, 1, 0] = 9, 200, 9
        save(tmp_path / "x.png", pixels)
        assert read_mask(tmp_path / "x.png").tolist() == [[0, 2], [1, 2]]
        save(tmp_path / "x.png", np.full((2, 2, channels), 255, np.uint8))
        assert (read_mask(tmp_path / "x.png") == 1).all()


class TestProblems:
    def test_image_without_its_mask(self, folder):
        (folder / "masks" / "b.png").unlink()
        said = message(folder)
        assert "images/b.png: has no mask; expected masks/b.png (or .tif, .tiff)" in said

    def test_mask_without_its_image(self, folder):
        (folder / "images" / "b.png").unlink()
        assert "masks/b.png: has no image; expected images/b.png" in message(folder)

    def test_mask_of_another_size(self, folder):
        save(folder / "masks" / "b.png", np.ones((5, 6), np.uint8))
        assert "masks/b.png: a mask of 5 x 6 pixels; its image has 4 x 6." in message(folder)

    def test_file_that_is_no_image(self, folder):
        (folder / "images" / "notes.txt").write_text("stained on Monday")
        assert "images/notes.txt: not an image; only .png, .tif, .tiff belong" in message(folder)

    @pytest.mark.parametrize(
        "content", [b"", b"stained on Monday", b"\x89PNG\r\n\x1a\n and no more"]
    )
    def test_file_with_the_name_of_an_image_alone(self, folder, content):
        (folder / "images" / "b.png").write_bytes(content)
        assert "images/b.png: cannot be read as an image" in message(folder)

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Possibly corrupt EXIF data")
    @pytest.mark.filterwarnings("ignore:Truncated File Read", "ignore:Metadata Warning")
    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_file_cut_off_anywhere_is_told_or_read_whole(self, tmp_path, suffix):
        pixels = np.random.default_rng(1).integers(0, 255, (16, 16), np.uint8)
        path = tmp_path / f"x{suffix}"
        save(path, pixels)
        whole = path.read_bytes()
        told = 0
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            found = None
            with contextlib.suppress(InputError):
                found = read_image(path)
            told += found is None
            assert found is None or np.array_equal(found, pixels)
        assert told > 0.9 * len(whole)

    def test_file_of_several_images(self, folder):
        page = Image.new("L", (6, 4))
        page.save(folder / "images" / "b.tif", save_all=True, append_images=[page, page])
        (folder / "images" / "b.png").unlink()
        assert "images/b.tif: holds 3 images; need one in a file." in message(folder)

    def test_two_files_of_one_name(self, folder):
        save(folder / "images" / "a.tif", np.zeros((4, 6), np.uint8))
        assert "images/a.tif: one name, 2 files; keep one." in message(folder)

    def test_empty_mask_is_kept_or_refused(self, folder):
        save(folder / "masks" / "b.png", np.zeros((4, 6), np.uint8))
        assert not load_folder(folder)[1].mask.any()
        assert "masks/b.png: the mask is empty" in message(folder, empty="refuse")

    def test_masks_and_labels(self, folder):
        (folder / "labels").mkdir()
        assert "has folders 'masks' and 'labels'" in message(folder)

    def test_no_images(self, tmp_path):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir()
        assert "images: holds no image" in message(tmp_path)

    @pytest.mark.parametrize("missing", ["images", "masks"])
    def test_missing_folder(self, tmp_path, missing):
        (tmp_path / ({"images", "masks"} - {missing}).pop()).mkdir()
        with pytest.raises(NotAvailableError, match=f"{missing}: there is no such folder"):
            load_folder(tmp_path)

    def test_all_are_listed_at_once(self, folder):
        save(folder / "masks" / "a.png", np.ones((9, 9), np.uint8))
        (folder / "images" / "b.png").write_bytes(b"broken")
        (folder / "masks" / "b.png").write_bytes(b"broken as well")
        said = message(folder).splitlines()
        assert said[0] == f"{folder}: 3 problems"
        assert [line.split(": ")[0].rsplit("/", 2)[1:] for line in said[1:]] == [
            ["masks", "a.png"], ["images", "b.png"], ["masks", "b.png"],
        ]  # fmt: skip

    def test_long_lists_end(self, folder):
        for number in range(30):
            save(folder / "images" / f"c{number}.png", np.zeros((2, 2), np.uint8))
        said = message(folder).splitlines()
        assert said[0].endswith("30 problems")
        assert said[-1].strip() == "... and 10 more"
        assert len(said) == image_folders._LARGEST_LIST + 2
