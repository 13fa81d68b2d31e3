"""K-space from NumPy, fastMRI and ISMRMRD files."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from reprostats.datasets.kspace_files import read_kspace, with_truth
from reprostats.datasets.simulated_kspace import simulated_kspace
from reprostats.errors import InputError, NotAvailableError
from reprostats.mri.fourier import to_image, to_kspace
from tests.datasets import ismrmrd_layout as layout

BRAIN = Path(os.environ.get("REPROSTATS_DATA", "data/raw")) / "sigpy_brain_8ch"


def random_kspace(*shape, seed=1):
    real, imaginary = np.random.default_rng(seed).normal(size=(2, *shape))
    return (real + 1j * imaginary).astype(np.complex64)


class TestNumpy:
    def test_one_slice_and_several(self, tmp_path):
        for values, shape in (
            (random_kspace(8, 5, 4), (1, 8, 5, 4)),
            (random_kspace(3, 8, 5, 4).astype(np.complex128), (3, 8, 5, 4)),
        ):
            np.save(tmp_path / "a.npy", values)
            scan = read_kspace(tmp_path / "a.npy")
            assert scan.kspace.shape == shape
            assert scan.kspace.dtype == np.complex64
            assert np.allclose(scan.kspace, values)

    def test_some_slices(self, tmp_path):
        values = random_kspace(5, 2, 4, 4)
        np.save(tmp_path / "a.npy", values)
        assert (read_kspace(tmp_path / "a.npy", slices=slice(1, 3)).kspace == values[1:3]).all()
        with pytest.raises(InputError, match="no slice is left of 5"):
            read_kspace(tmp_path / "a.npy", slices=slice(5, 9))

    def test_what_cannot_be_k_space(self, tmp_path):
        path = tmp_path / "a.npy"
        silent, hole = random_kspace(3, 4, 4), random_kspace(3, 4, 4)
        silent[1] = 0
        hole[0, 2, 3] = np.nan
        for values, message in (
            (np.ones((2, 4, 4)), r"a.npy: k-space of shape \(1, 2, 4, 4\) is float64"),
            (random_kspace(4, 4), r"a.npy: k-space has shape \(4, 4\)"),
            (silent, r"a.npy: coil 1 .* is zero everywhere"),
            (hole, r"a.npy: .*nan.*not finite"),
        ):
            np.save(path, values)
            with pytest.raises(InputError, match=message):
                read_kspace(path)

    def test_cut_short(self, tmp_path):
        path = tmp_path / "a.npy"
        np.save(path, random_kspace(3, 8, 8))
        path.write_bytes(path.read_bytes()[:500])
        with pytest.raises(InputError, match=r"a.npy: cannot be read, perhaps cut short"):
            read_kspace(path)

    def test_pickle_is_not_loaded(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
        with pytest.raises(InputError, match="cannot be read"):
            read_kspace(tmp_path / "a.npy")

    def test_no_such_file_and_another_kind(self, tmp_path):
        with pytest.raises(NotAvailableError, match="no such file"):
            read_kspace(tmp_path / "a.npy")
        (tmp_path / "a.mat").touch()
        with pytest.raises(InputError, match=r"from .npy, .h5 and .hdf5"):
            read_kspace(tmp_path / "a.mat")


class TestFastMRI:
    @pytest.fixture
    def path(self, tmp_path):
        """As in the multi-coil sets: names, types and attributes."""
        with h5py.File(tmp_path / "file1.h5", "w") as file:
            file["kspace"] = random_kspace(3, 4, 8, 6)
            file["reconstruction_rss"] = np.arange(48, dtype=np.float32).reshape(3, 4, 4)
            file["ismrmrd_header"] = layout.header(view=16, shown=8)
            file.attrs.update(max=47.0, norm=100.0, patient_id="p7", acquisition="AXT2")
        return tmp_path / "file1.h5"

    def test_is_read_with_what_comes_with_it(self, path):
        scan = read_kspace(path, slices=slice(1, None))
        assert (scan.kspace == random_kspace(3, 4, 8, 6)[1:]).all()
        assert (scan.identity, scan.patient, scan.maximum) == ("file1", "p7", 47.0)
        assert scan.reference.shape == (2, 4, 4)
        # 5 mm thick; readout of 16 mm in 8 samples along the rows; 6 mm in 6 lines.
        assert scan.spacing == (5.0, 2.0, 1.0)

    def test_single_coil_and_no_extras(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["kspace"] = random_kspace(3, 8, 6)
        scan = read_kspace(tmp_path / "a.h5")
        assert scan.kspace.shape == (3, 1, 8, 6)
        assert (scan.patient, scan.reference, scan.maximum) == ("a", None, None)

    def test_cut_short(self, path):
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(
            InputError, match=r"file1.h5: cannot be read, perhaps cut short \(.*trunc"
        ):
            read_kspace(path)

    def test_neither_layout(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["image"] = np.ones(3)
        with pytest.raises(InputError, match=r"holds image; 'kspace' \(fastMRI\) or 'dataset'"):
            read_kspace(tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["dataset/data"] = np.ones(3)
        with pytest.raises(InputError, match="'dataset' holds no 'xml'"):
            read_kspace(tmp_path / "a.h5")


class TestISMRMRD:
    def test_lines_go_to_their_places_in_any_order(self, tmp_path):
        kspace = random_kspace(2, 3, 6, 8)
        lines = layout.lines_of(kspace)
        path = layout.write(tmp_path / "a.h5", lines[::-1])
        scan = read_kspace(path)
        assert (scan.kspace == kspace).all()
        assert (scan.patient, scan.spacing) == ("anna", (5.0, 1.0, 2.0))

    def test_repeats_are_averaged_and_noise_is_left_out(self, tmp_path):
        kspace = random_kspace(1, 3, 6, 8)
        lines = [
            *layout.lines_of(100 * kspace, flags=layout.NOISE),
            *layout.lines_of(100 * kspace, flags=layout.NAVIGATION),
            *layout.lines_of(100 * kspace, flags=layout.CALIBRATION),
            *layout.lines_of(100 * kspace, encoding=1),
            *layout.lines_of(0.5 * kspace, average=0),
            *layout.lines_of(
                1.5 * kspace,
                average=1,
                flags=layout.CALIBRATION | layout.CALIBRATION_AND_IMAGING,
            ),
        ]
        assert np.allclose(
            read_kspace(layout.write(tmp_path / "a.h5", lines)).kspace, kspace, atol=1e-6
        )

    def test_what_was_not_measured_is_0_and_the_centre_is_where_it_is_said(self, tmp_path):
        """Steps 0 to 3 around step 1 of a matrix of 6: rows 2 to 5."""
        kspace = random_kspace(1, 3, 4, 8)
        path = layout.write(tmp_path / "a.h5", layout.lines_of(kspace), layout.header(centre=1))
        scan = read_kspace(path)
        assert (scan.kspace[:, :, 2:] == kspace).all()
        assert scan.sampled.sum() == 4 * 8

    def test_partial_echo_and_discarded_samples(self, tmp_path):
        """7 samples, 1 discarded at each end, the centre being sample 2: columns 3 to 7."""
        kspace = random_kspace(1, 3, 6, 7)
        lines = layout.lines_of(kspace, pre=1, post=1, centre=2)
        found = read_kspace(layout.write(tmp_path / "a.h5", lines)).kspace
        assert (found[..., 3:8] == kspace[..., 1:6]).all()
        assert not found[..., :3].any()

    def test_oversampling_is_removed(self, tmp_path):
        kspace = torch.from_numpy(random_kspace(1, 3, 6, 4))
        wide = torch.zeros(1, 3, 6, 8, dtype=torch.complex64)
        wide[..., 2:6] = to_image(kspace, (-1,))
        lines = layout.lines_of(to_kspace(wide, (-1,)).numpy())
        path = layout.write(tmp_path / "a.h5", lines, layout.header(view=16, shown=8))
        assert np.allclose(read_kspace(path).kspace, kspace.numpy(), atol=1e-6)

    def test_partitions_become_slices(self, tmp_path):
        slices = torch.from_numpy(random_kspace(4, 3, 6, 8))
        partitions = to_kspace(slices, (0,)).numpy()
        lines = [
            line
            for number, each in enumerate(partitions)
            for line in layout.lines_of(each[None], kspace_encode_step_2=number)
        ]
        path = layout.write(tmp_path / "a.h5", lines, layout.header(z=4))
        assert np.allclose(read_kspace(path).kspace, slices.numpy(), atol=1e-6)
        path = layout.write(tmp_path / "b.h5", lines[:-1], layout.header(z=4))
        with pytest.raises(InputError, match="partitions differ in the lines"):
            read_kspace(path)

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"flags": layout.NOISE}, "none of 6 acquisitions belongs to an image"),
            ({"flags": layout.REVERSE}, "lines run backwards"),
            ({"centre": 7}, "do not fit into a readout of 8"),
        ],
    )
    def test_lines_that_are_not_read(self, tmp_path, more, message):
        lines = layout.lines_of(random_kspace(1, 3, 6, 8), **more)
        with pytest.raises(InputError, match=rf"a.h5: .*{message}"):
            read_kspace(layout.write(tmp_path / "a.h5", lines))

    def test_lines_that_do_not_agree(self, tmp_path):
        lines = layout.lines_of(random_kspace(1, 3, 6, 8))
        for other, message in (
            (layout.lines_of(random_kspace(1, 2, 1, 8)), "differ in the number of coils"),
            (layout.lines_of(random_kspace(1, 3, 1, 8), contrast=1), "2 values of contrast"),
            (layout.lines_of(random_kspace(1, 3, 7, 8)), "steps from 0 to 6 around 3 do not fit"),
        ):
            with pytest.raises(InputError, match=message):
                read_kspace(layout.write(tmp_path / "a.h5", [*lines, *other]))

    def test_line_of_the_wrong_length(self, tmp_path):
        lines = layout.lines_of(random_kspace(1, 3, 6, 8))
        lines[2]["head"]["number_of_samples"] = 9
        with pytest.raises(InputError, match=r"has 48 numbers; 3 coils of 9 .* need 54"):
            read_kspace(layout.write(tmp_path / "a.h5", lines))

    @pytest.mark.parametrize(
        ("xml", "message"),
        [
            ("<ismrmrdHeader", "header is no XML"),
            ("<ismrmrdHeader/>", "describes no encoding"),
            (layout.header(trajectory="radial"), "the trajectory is radial"),
            (layout.header(x=0), "both must be above 0"),
            (layout.header().replace("matrixSize", "size"), "lacks encoding/encodedSpace/matrix"),
        ],
    )
    def test_header_that_does_not_do(self, tmp_path, xml, message):
        lines = layout.lines_of(random_kspace(1, 3, 6, 8))
        with pytest.raises(InputError, match=message):
            read_kspace(layout.write(tmp_path / "a.h5", lines, xml))


class TestTruth:
    def test_of_a_simulated_subject_is_near_what_it_was_made_of(self, tmp_path):
        (subject,) = simulated_kspace(
            1, np.random.default_rng(1), n_slices=2, resolution=4, noise=0.001, n_coils=8
        )
        np.save(tmp_path / "a.npy", 50 * subject.kspace)
        found = with_truth(read_kspace(tmp_path / "a.npy"), centre=(16, 16))
        wrong = np.abs(np.abs(found.images) - np.abs(subject.images))[subject.brain]
        assert wrong.mean() < 0.02  # of the brightest voxel
        assert (found.brain == subject.brain).mean() > 0.97
        assert np.abs(found.images).max() == pytest.approx(1)

    def test_margins_may_be_empty_but_not_much(self, tmp_path):
        (subject,) = simulated_kspace(1, np.random.default_rng(1), n_slices=1, resolution=4)
        kspace = subject.kspace.copy()
        kspace[..., :5] = 0
        np.save(tmp_path / "a.npy", kspace)
        assert with_truth(read_kspace(tmp_path / "a.npy")).images.shape == subject.images.shape
        kspace[..., :15] = 0
        np.save(tmp_path / "a.npy", kspace)
        with pytest.raises(InputError, match=r"a.npy: 70.0% of k-space \(60, 50\) is sampled"):
            with_truth(read_kspace(tmp_path / "a.npy"))

    def test_gaps(self, tmp_path):
        kspace = random_kspace(2, 40, 40)
        kspace[:, 3] = 0
        np.save(tmp_path / "a.npy", kspace)
        with pytest.raises(InputError, match=r"97\.5% of k-space"):
            with_truth(read_kspace(tmp_path / "a.npy"))

    def test_gaps_in_one_slice_that_another_fills(self, tmp_path):
        kspace = np.stack([random_kspace(2, 40, 40), random_kspace(2, 40, 40)])
        kspace[1, :, 3] = 0
        np.save(tmp_path / "a.npy", kspace)
        with pytest.raises(InputError, match=r"98\.8% of k-space"):
            with_truth(read_kspace(tmp_path / "a.npy"))


@pytest.mark.slow
@pytest.mark.skipif(
    not BRAIN.is_dir(), reason="sigpy_brain_8ch is not in the folder REPROSTATS_DATA names"
)
def test_real_brain_is_read_and_known_to_be_undersampled():
    """Its description says 8 coils of 230 x 180 and 12.4 % of the points."""
    scan = read_kspace(BRAIN / "cartesian_ksp.npy")
    assert scan.kspace.shape == (1, 8, 230, 180)
    assert round(float(scan.sampled.mean()), 3) == 0.124
    with pytest.raises(InputError, match=r"12\.4% of k-space"):
        with_truth(scan)
