"""TensorFlow 1 checkpoints: read back what a second implementation wrote, and refuse the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.export.imports.tf_writer import crc32c_by_bits, write_checkpoint
from visavis.export.imports.crc32c import crc32c
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.tf_checkpoint import DATA, INDEX, bundle_of, read_index, read_tensors

Tensors = dict[str, NDArray[np.generic]]


@pytest.fixture
def tensors() -> Tensors:
    rng = np.random.default_rng(5)
    named: Tensors = {
        f"layer_{n}/{kind}": rng.normal(size=shape).astype(np.float32)
        for n in range(1, 21)
        for kind, shape in (("weights", (n, 3)), ("bias", (3,)))
    }
    named["global_step"] = np.array(7, np.int64)
    named["alone"] = np.array(2.5, np.float32)
    return named


@given(st.binary(max_size=300), st.integers(0, 5000))
@settings(max_examples=30, deadline=None)
def test_the_checksum_is_that_of_its_definition(data: bytes, zeros: int) -> None:
    whole = data + bytes(zeros) + data
    assert crc32c(whole) == crc32c_by_bits(whole)


def test_the_checksum_of_the_standard() -> None:
    # RFC 3720, B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E


@pytest.mark.parametrize("per_block", [1, 3, 100])
def test_what_was_written_is_read(tmp_path: Path, tensors: Tensors, per_block: int) -> None:
    write_checkpoint(tmp_path / "best", tensors, per_block=per_block)
    entries = read_index(tmp_path / f"best{INDEX}")
    assert set(entries) == set(tensors)
    read = read_tensors(tmp_path / f"best{DATA}", entries, lambda name: name != "global_step")
    assert set(read) == set(tensors) - {"global_step"}
    for name, array in read.items():
        np.testing.assert_array_equal(array, tensors[name], strict=True)


def test_either_file_names_the_checkpoint(tmp_path: Path) -> None:
    files = (tmp_path / f"best-1.5{INDEX}", tmp_path / f"best-1.5{DATA}")
    for path in files:
        assert bundle_of(path) == files
    for path in (tmp_path, tmp_path / "best-1.5", tmp_path / "face_unet.pkl"):
        assert bundle_of(path) is None


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path, tensors: Tensors) -> None:
    write_checkpoint(tmp_path / "best", tensors)
    index, data = tmp_path / f"best{INDEX}", tmp_path / f"best{DATA}"
    entries = read_index(index)
    whole = bytearray(data.read_bytes())
    whole[len(whole) // 2] ^= 4
    data.write_bytes(whole)
    with pytest.raises(ImportRefused, match="is damaged: 'layer_"):
        read_tensors(data, entries, lambda name: name.startswith("layer"))
    good = index.read_bytes()
    for place in range(0, len(good) - 48, 97):
        bad = bytearray(good)
        bad[place] ^= 1
        index.write_bytes(bad)
        try:
            # The padding between and the block about blocks say nothing.
            assert read_index(index) == entries
        except ImportRefused as error:
            assert "no index of a TensorFlow checkpoint" in str(error)
    bad = bytearray(good)
    bad[3] ^= 1
    index.write_bytes(bad)
    with pytest.raises(ImportRefused, match="wrong sum"):
        read_index(index)


def test_what_is_cut_off_is_refused(tmp_path: Path, tensors: Tensors) -> None:
    write_checkpoint(tmp_path / "best", tensors)
    index, data = tmp_path / f"best{INDEX}", tmp_path / f"best{DATA}"
    entries = read_index(index)
    data.write_bytes(data.read_bytes()[:-5])
    with pytest.raises(ImportRefused, match="is cut off: 'layer_9/weights' is not whole"):
        read_tensors(data, entries, lambda name: name.startswith("layer"))
    whole = index.read_bytes()
    for size in (0, 20, 47, 48, len(whole) - 1):
        index.write_bytes(whole[:size])
        with pytest.raises(ImportRefused, match="no index of a TensorFlow checkpoint"):
            read_index(index)
    with pytest.raises(ImportRefused, match="cannot be read"):
        read_index(tmp_path / "nobody.index")
    with pytest.raises(ImportRefused, match="cannot be read"):
        read_tensors(tmp_path / "nobody", entries, lambda name: True)


def test_what_is_not_for_us_is_refused(tmp_path: Path, tensors: Tensors) -> None:
    write_checkpoint(tmp_path / "best", tensors)
    with pytest.raises(ImportRefused, match="'global_step' is not a tensor of 32-bit floats"):
        read_tensors(
            tmp_path / f"best{DATA}", read_index(tmp_path / f"best{INDEX}"), lambda name: True
        )
    write_checkpoint(tmp_path / "many", tensors, shards=2)
    with pytest.raises(ImportRefused, match="several files"):
        read_index(tmp_path / f"many{INDEX}")
    write_checkpoint(tmp_path / "snappy", tensors, kind=1)
    with pytest.raises(ImportRefused, match="compressed"):
        read_index(tmp_path / f"snappy{INDEX}")
