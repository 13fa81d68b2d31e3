"""What three packages compute alike is alike."""

from reprostats.report.cross_check import cross_check


def test_three_packages_give_the_same_numbers():
    frame = cross_check().frame.set_index("quantity")
    assert len(frame) == 12
    assert frame[["pingouin", "statsmodels"]].notna().any(axis=1).all()
    climbed = frame.index.isin(["variance of targets", "residual variance"])
    assert (frame["largest_difference"][~climbed] < 1e-10).all()
    assert (frame["largest_difference"][climbed] < 1e-4).all()  # statsmodels stops early
