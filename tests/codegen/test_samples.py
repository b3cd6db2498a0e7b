"""Data files that are wrong in some way: one line that says what was expected. Nothing in them is run."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftc.codegen import samples as data
from driftc.codegen.errors import DataError
from driftc.codegen.tensor import Quantization, Tensor

INT8, INT32 = np.dtype(np.int8), np.dtype(np.int32)
IMAGE = Tensor("image", (1, 4, 3), INT8, Quantization.per_tensor(0.5, 10), label="net/image")
WORDS = Tensor("words", (2,), INT32, label="words")


class Trap:
    """Unpickling it would show."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (Path("sprung"),)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def zipped(path: Path, name: str, content: bytes, kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(name, content)
    return path


def header(shape: tuple[int, ...], dtype: str = "|i1") -> bytes:
    """The beginning of a .npy that claims `shape`."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": dtype})
    return stream.getvalue()


def refused(path: Path, *expected: str, inputs: tuple[Tensor, ...] = (IMAGE,), **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        data.load(path, inputs, **options)
    said = str(caught.value)
    assert path.name in said or "--" in said
    assert len(said.splitlines()) == 1
    for part in expected:
        assert part in said, said


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 4)),
        np.zeros((2, 12)),
        np.zeros((4, 3)),
        np.zeros((0, 4, 3)),
        np.zeros(()),
        np.zeros((1, 2, 4, 3)),
    ],
    ids=lambda array: str(array.shape),
)
def test_shape(array: Any, tmp_path: Path) -> None:
    refused(
        save(tmp_path / "x.npz", x=array.astype(np.int8)),
        str(list(array.shape)),
        "expected [samples, 4, 3]",
        "net/image",
    )


@pytest.mark.parametrize(
    "dtype", ["int16", "int32", "int64", "uint16", "bool", "complex64", "float16", "U3", "S3", "M8[s]"]
)
def test_dtype(dtype: str, tmp_path: Path) -> None:
    refused(
        save(tmp_path / "x.npz", x=np.zeros((2, 4, 3), dtype)), "expected int8 (raw), float32 (real values) or uint8"
    )


@pytest.mark.parametrize("dtype", ["int8", "int64", "float32"])
def test_dtype_of_indices(dtype: str, tmp_path: Path) -> None:
    refused(save(tmp_path / "x.npz", x=np.zeros((2, 2), dtype)), dtype, "takes int32 indices", inputs=(WORDS,))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_not_finite(value: float, tmp_path: Path) -> None:
    array = np.zeros((2, 4, 3))
    array[1, 2, 0] = value
    refused(save(tmp_path / "x.npz", x=array), "NaN or infinite")


def test_name(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npz", other=np.zeros(3), second=np.zeros(3))
    refused(path, "holds other, second", "expected an array named 'net/image' or 'x'")
    refused(save(tmp_path / "none.npz"), "holds nothing")
    both = save(tmp_path / "both.npz", x=np.zeros((2, 4, 3), np.int8))
    refused(both, "expected an array named 'net/image'", inputs=(IMAGE, WORDS))


def test_different_numbers_of_samples(tmp_path: Path) -> None:
    arrays: Any = {"net/image": np.zeros((2, 4, 3), np.int8), "words": np.zeros((3, 2), np.int32)}
    path = save(tmp_path / "x.npz", **arrays)
    refused(path, "different numbers of samples: 'net/image' 2, 'words' 3", inputs=(IMAGE, WORDS))


def test_no_such_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.npz", "no such file")
    refused(tmp_path, "is not a .npz or .npy")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff", b"PK\x03\x04", b"PK\x03\x04" + b"\0" * 100, b"PK\x05\x06",
     b"text\n", b"\x80\x04K\x01.", b"\0" * 64, header((2, 4, 3)), header((2, 4, 3), "|O")],
    ids=lambda content: content[:12].hex() or "empty",
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".npz", ".npy", ""])
def test_corrupt(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(content)
    refused(path, "is not a .npz or .npy of plain arrays")


def test_every_truncation_and_flip(tmp_path: Path) -> None:
    """Of a small .npz: refused, or the samples of an undamaged array."""
    whole = save(tmp_path / "x.npz", x=np.arange(24, dtype=np.int8).reshape(2, 4, 3), y=np.arange(2)).read_bytes()
    path = tmp_path / "cut.npz"
    for number in range(len(whole)):
        flipped = bytearray(whole)
        flipped[number] ^= 0x41
        for content in (whole[:number], bytes(flipped)):
            path.write_bytes(content)
            try:
                found = data.load(path, (IMAGE,))
            except DataError as error:
                assert error.args[0].isprintable()
            else:
                assert len(found) in (1, 2)


def test_pickles_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Trap()))
    np.save(tmp_path / "object.npy", np.array([Trap()], object), allow_pickle=True)
    inner = (tmp_path / "object.npy").read_bytes()
    for path in (tmp_path / "raw.npy", tmp_path / "object.npy", zipped(tmp_path / "in.npz", "x.npy", inner)):
        refused(path, "is not a .npz or .npy of plain arrays")
    refused(zipped(tmp_path / "raw.npz", "x.npy", pickle.dumps(Trap())))
    assert not Path("sprung").exists()


def test_other_arrays_are_not_read(tmp_path: Path) -> None:
    """They may be pickles, or a bomb."""
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 4, 3), np.int8))
    with zipfile.ZipFile(tmp_path / "x.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", header((1 << 40,)) + b"\0" * 50_000_000)
        archive.writestr("trap.npy", pickle.dumps(Trap()))
        archive.writestr("readme.txt", b"hello")
    assert len(data.load(tmp_path / "x.npz", (IMAGE,))) == 2


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 40, 4, 3), (1 << 62, 4, 3), (-1, 4, 3)])
def test_claims_that_the_file_cannot_hold(shape: tuple[int, ...], tmp_path: Path) -> None:
    content = header(shape) + b"\0" * 1000
    refused(zipped(tmp_path / "x.npz", "x.npy", content))
    (tmp_path / "x.npy").write_bytes(content)
    refused(tmp_path / "x.npy")


# --- labels ---


def test_array_that_unpacks_to_more_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """9 MB of .npz unpacked to 9 GB."""
    path = zipped(tmp_path / "x.npz", "net/image.npy", header((1 << 14, 4, 3)) + bytes(12 << 14))
    assert path.stat().st_size < 10_000
    assert len(data.load(path, (IMAGE,))) == 1 << 14
    monkeypatch.setattr(data, "LARGEST_ARRAY", 1 << 16)
    refused(path, "'net/image' unpacks to", "give fewer samples")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return save(
        tmp_path / "x.npz", x=np.zeros((3, 4, 3), np.int8), y=np.array([0, 1, 2]), words=np.array(["a", "b", "c"])
    )


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("labels.npz", "expected FILE.npz:KEY"),
        (":y", "expected FILE.npz:KEY"),
        ("{}:", "no ''"),
        ("{}:z", "holds words, x, y; no 'z'"),
        ("{}:words", "expected integers [3]"),
        ("{}:x", "expected integers [3]"),
        ("none.npz:y", "none.npz: no such file"),
    ],
)
def test_labels_option(images: Path, option: str, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        data.load(images, (IMAGE,), labels=option.format(images))
    assert expected in str(caught.value)


def test_labels(images: Path, tmp_path: Path) -> None:
    found = data.load(images, (IMAGE,)).labels
    assert found is not None
    assert found.tolist() == [0, 1, 2]
    others = save(tmp_path / "l.npz", four=np.arange(4), three=np.arange(3, dtype=np.uint8))
    with pytest.raises(DataError, match=r"expected integers \[3\]"):
        data.load(images, (IMAGE,), labels=f"{others}:four")
    assert data.load(images, (IMAGE,), labels=f"{others}:three").labels is not None


def test_y_that_is_no_label_is_ignored(tmp_path: Path) -> None:
    for number, y in enumerate((np.zeros((3, 2)), np.array(["a"] * 3), np.arange(5))):
        path = save(tmp_path / f"{number}.npz", x=np.zeros((3, 4, 3), np.int8), y=y)
        assert data.load(path, (IMAGE,)).labels is None


def test_sample_number(images: Path) -> None:
    found = data.load(images, (IMAGE,))
    assert len(found.only(2)) == 1
    for number in (-1, 3):
        with pytest.raises(DataError, match=f"--sample {number}: there are samples 0 to 2"):
            found.only(number)
