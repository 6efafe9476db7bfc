"""Files of arrays: what was written is what is read, and whatever else is noticed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from libs.storage import arrays
from libs.storage.arrays import ArrayFileError, DamagedFileError, OtherVersionError, open_arrays, write

KIND, VERSION = "numbers", 3
META = {"revision": 12, "keys": [[1, 2], [3, 4]], "name": "é"}


def sample() -> dict[str, Any]:
    return {
        "small": np.arange(7, dtype=np.uint8),
        "none": np.empty(0, np.float64),
        "table": np.arange(12, dtype=np.int64).reshape(3, 4),
        "no rows": np.empty((0, 4), np.uint16),
        "bools": np.array([True, False, True]),
        "every second": np.arange(10, dtype=np.uint32)[::2],
        "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }


def test_arrays_come_back_as_aligned_views_that_nobody_can_change(tmp_path: Path) -> None:
    path = tmp_path / "a"
    size = write(path, KIND, VERSION, META, sample())
    for verify in (True, False):
        found = open_arrays(path, KIND, VERSION, verify=verify)
        assert (found.meta, found.nbytes, path.stat().st_size) == (META, size, size)
        assert list(found.arrays) == list(sample())
        for name, expected in sample().items():
            array = found.arrays[name]
            assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
            assert np.array_equal(array, expected)
            assert array.ctypes.data % arrays.ALIGN == 0 or not array.size
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


def test_arrays_of_many_chunks_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 64)
    rows = np.random.default_rng(1).integers(0, 1 << 60, 1000)
    write(tmp_path / "a", KIND, VERSION, None, {"rows": rows, "more": rows[:-3]})
    found = open_arrays(tmp_path / "a", KIND, VERSION).arrays
    assert np.array_equal(found["rows"], rows)
    assert np.array_equal(found["more"], rows[:-3])


def test_a_file_of_no_arrays_keeps_its_meta(tmp_path: Path) -> None:
    write(tmp_path / "a", KIND, VERSION, [1, "x", None], {})
    found = open_arrays(tmp_path / "a", KIND, VERSION)
    assert (found.meta, found.arrays) == ([1, "x", None], {})


def test_views_outlive_the_file_and_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, KIND, VERSION, None, {"rows": np.arange(5)})
    rows = open_arrays(path, KIND, VERSION).arrays["rows"]
    write(path, KIND, VERSION, None, {"rows": np.arange(9)})
    path.unlink()
    assert rows.tolist() == [0, 1, 2, 3, 4]


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, KIND, VERSION, META, sample())
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes((whole[place] ^ 0x40,)) + whole[place + 1 :])
        with pytest.raises(ArrayFileError, match=str(path)):
            open_arrays(path, KIND, VERSION)


def test_a_flipped_byte_of_the_header_is_noticed_even_unverified(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, KIND, VERSION, META, {})
    whole = path.read_bytes()
    for place in [*range(8), *range(16, len(whole.rstrip(b"\0")))]:  # not the checksum of the whole
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes((whole[place] ^ (1 << bit),)) + whole[place + 1 :])
            with pytest.raises(ArrayFileError, match=str(path)):
                open_arrays(path, KIND, VERSION, verify=False)


def test_a_file_cut_short_or_made_longer_or_missing_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, KIND, VERSION, META, sample())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError, match=str(path)):
            open_arrays(path, KIND, VERSION)
    path.write_bytes(whole + b"\0")
    with pytest.raises(DamagedFileError, match="checksum"):
        open_arrays(path, KIND, VERSION)
    path.unlink()
    with pytest.raises(DamagedFileError, match=str(path)):
        open_arrays(path, KIND, VERSION)


def test_a_file_cut_short_is_damaged_even_unverified(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, KIND, VERSION, None, {"rows": np.arange(1000)})
    whole = path.read_bytes()
    for length in (0, 3, 31, 32, 48, 120, len(whole) - 64):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError, match=str(path)):
            open_arrays(path, KIND, VERSION, verify=False)


@pytest.mark.parametrize(("kind", "version"), [("other", VERSION), (KIND, VERSION - 1), (KIND, VERSION + 1)])
@pytest.mark.parametrize("verify", [True, False])
def test_another_kind_or_version_is_told_apart(tmp_path: Path, kind: str, version: int, verify: bool) -> None:
    write(tmp_path / "a", KIND, VERSION, META, sample())
    with pytest.raises(OtherVersionError, match="numbers 3"):
        open_arrays(tmp_path / "a", kind, version, verify=verify)


def test_a_file_of_another_format_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as future:
        future.setattr(arrays, "FORMAT", arrays.FORMAT + 1)
        write(tmp_path / "a", KIND, VERSION, META, sample())
    with pytest.raises(OtherVersionError, match="format 2"):
        open_arrays(tmp_path / "a", KIND, VERSION)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, KIND, VERSION, "old", {})
    with pytest.raises(TypeError, match="object; a file holds"):
        write(path, KIND, VERSION, "new", {"names": np.array(["x", None], object)})
    with pytest.raises(TypeError):
        write(path, KIND, VERSION, object(), {})
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert open_arrays(path, KIND, VERSION).meta == "old"


def test_leftovers_of_a_killed_writer_are_cleaned_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "a", KIND, VERSION, None, {})
    (tmp_path / ("a" + arrays.TEMPORARY)).write_bytes(b"half")
    (tmp_path / ("b" + arrays.TEMPORARY)).write_bytes(b"")
    assert open_arrays(tmp_path / "a", KIND, VERSION).arrays == {}
    arrays.clean_temporary(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    arrays.clean_temporary(tmp_path / "nowhere")
