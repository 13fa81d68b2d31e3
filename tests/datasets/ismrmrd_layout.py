"""Small files in the layout that the ismrmrd library 1.15 writes, as h5py shows it."""

import h5py
import numpy as np

_COUNTERS = [
    (name, "<u2")
    for name in (
        "kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase",
        "repetition", "set", "segment",
    )
]  # fmt: skip
HEAD = np.dtype(
    [
        ("version", "<u2"),
        ("flags", "<u8"),
        ("measurement_uid", "<u4"),
        ("scan_counter", "<u4"),
        ("acquisition_time_stamp", "<u4"),
        ("physiology_time_stamp", "<u4", (3,)),
        ("number_of_samples", "<u2"),
        ("available_channels", "<u2"),
        ("active_channels", "<u2"),
        ("channel_mask", "<u8", (16,)),
        ("discard_pre", "<u2"),
        ("discard_post", "<u2"),
        ("center_sample", "<u2"),
        ("encoding_space_ref", "<u2"),
        ("trajectory_dimensions", "<u2"),
        ("sample_time_us", "<f4"),
        ("position", "<f4", (3,)),
        ("read_dir", "<f4", (3,)),
        ("phase_dir", "<f4", (3,)),
        ("slice_dir", "<f4", (3,)),
        ("patient_table_position", "<f4", (3,)),
        ("idx", [*_COUNTERS, ("user", "<u2", (8,))]),
        ("user_int", "<i4", (8,)),
        ("user_float", "<f4", (8,)),
    ]
)
ACQUISITION = np.dtype(
    [("head", HEAD), ("traj", h5py.vlen_dtype("<f4")), ("data", h5py.vlen_dtype("<f4"))]
)
NOISE, CALIBRATION, CALIBRATION_AND_IMAGING, REVERSE, NAVIGATION = (
    1 << (number - 1) for number in (19, 20, 21, 22, 23)
)

_XML = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <subjectInformation><patientID>anna</patientID></subjectInformation>
 <experimentalConditions><H1resonanceFrequency_Hz>128000000</H1resonanceFrequency_Hz>
 </experimentalConditions>
 <encoding>
  <encodedSpace>
   <matrixSize><x>{x}</x><y>{y}</y><z>{z}</z></matrixSize>
   <fieldOfView_mm><x>{view}</x><y>{y}</y><z>5</z></fieldOfView_mm>
  </encodedSpace>
  <reconSpace>
   <matrixSize><x>{x}</x><y>{y}</y><z>{z}</z></matrixSize>
   <fieldOfView_mm><x>{shown}</x><y>{y}</y><z>5</z></fieldOfView_mm>
  </reconSpace>
  <encodingLimits>
   <kspace_encoding_step_1><minimum>0</minimum><maximum>{y}</maximum><center>{centre}</center>
   </kspace_encoding_step_1>
  </encodingLimits>
  <trajectory>{trajectory}</trajectory>
 </encoding>
</ismrmrdHeader>"""


def header(x=8, y=6, z=1, *, view=16, shown=16, centre=3, trajectory="cartesian"):
    return _XML.format(**locals())


def acquisition(samples, *, flags=0, pre=0, post=0, centre=None, encoding=0, **counters):
    """One line: samples of shape (coils, readout), and where it belongs."""
    coils, readout = samples.shape
    line = np.zeros(1, ACQUISITION)
    head = line["head"]
    head["flags"], head["number_of_samples"], head["active_channels"] = flags, readout, coils
    head["discard_pre"], head["discard_post"] = pre, post
    head["center_sample"] = readout // 2 if centre is None else centre
    head["encoding_space_ref"] = encoding
    for name, value in counters.items():
        head["idx"][name] = value
    line["traj"][0] = np.zeros(0, np.float32)
    line["data"][0] = np.ascontiguousarray(samples, np.complex64).view(np.float32).ravel()
    return line


def lines_of(kspace, **more):
    """Lines of k-space of shape (slices, coils, phase, readout)."""
    return [
        acquisition(kspace[number, :, step], slice=number, kspace_encode_step_1=step, **more)
        for number in range(len(kspace))
        for step in range(kspace.shape[2])
    ]


def write(path, lines, xml=None):
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("xml", data=[xml or header()], dtype=h5py.string_dtype())
        group.create_dataset("data", data=np.concatenate(lines), dtype=ACQUISITION)
    return path
