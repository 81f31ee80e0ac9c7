"""Arrays of the user's own: .npy, .npz, .zarr."""

import pickle
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from kpe_core.data.sets import array
from kpe_core.errors import UserError
from tests.kpe_core.data.loading import RAW, labelled, loaded

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3, 8, 8)).astype(np.float32)
Y = np.arange(30) % 4


def write(path: Path, x: np.ndarray, y: np.ndarray | None = None) -> Path:
    arrays = {"x": x} | ({} if y is None else {"y": y})
    if path.suffix == ".npy":
        np.save(path, x)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        group = zarr.create_group(str(path))
        for name, array in arrays.items():
            group.create_array(name, data=array, chunks=(7, *array.shape[1:]))
    return path


@pytest.mark.parametrize("suffix", [".npz", ".zarr"])
def test_points_and_labels_are_what_was_written(suffix: str, tmp_path: Path) -> None:
    data = loaded("array", write(tmp_path / f"x{suffix}", X, Y), **RAW)
    assert (data.kind, data.shape, data.class_names) == ("image", (3, 8, 8), ("0", "1", "2", "3"))
    both = np.concatenate([data.train, data.held_out]), np.concatenate([data.train_labels, data.held_out_labels])
    assert labelled(*both) == labelled(X, Y)


def test_labels_lie_beside_an_npy(tmp_path: Path) -> None:
    write(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    assert loaded("array", tmp_path / "x.npy").n_classes == 1
    data = loaded("array", tmp_path / "x.npy", labels="y.npy", **RAW)
    both = np.concatenate([data.train, data.held_out]), np.concatenate([data.train_labels, data.held_out_labels])
    assert labelled(*both) == labelled(X, Y)
    with pytest.raises(UserError, match=r"the file of labels is missing; looked for .*z.npy"):
        loaded("array", tmp_path / "x.npy", labels="z.npy")


@pytest.mark.parametrize(
    ("given", "kind", "shape"),
    [
        ((30, 5), "points", (5,)),
        ((30, 6, 7), "image", (6, 7)),
        ((30, 1, 6, 7), "image", (6, 7)),
        ((30, 20, 24, 1), "image", (20, 24)),
        ((30, 3, 6, 7), "image", (3, 6, 7)),
        ((30, 20, 24, 3), "image", (3, 20, 24)),
        ((30, 4, 6, 6), "latent", (4, 6, 6)),
    ],
)
def test_shapes(given: tuple[int, ...], kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.normal(size=given).astype(np.float32)
    data = loaded("array", write(tmp_path / "x.npy", x), **RAW)
    assert (data.kind, data.shape) == (kind, shape)
    first = np.moveaxis(x, -1, 1) if given[-1] in (1, 3) and given[1] > 16 else x
    assert labelled(np.concatenate([data.train, data.held_out]), np.zeros(30)) == labelled(first, np.zeros(30))


def test_one_shape_is_not_another(tmp_path: Path) -> None:
    """The same numbers as points and as images: a network sees them differently."""
    flat, image = (write(tmp_path / f"{n}.npy", X.reshape(30, *s)) for n, s in (("a", (192,)), ("b", (3, 8, 8))))
    assert loaded("array", flat).fingerprint != loaded("array", image).fingerprint


def test_ranges_are_declared_or_those_of_bytes(tmp_path: Path) -> None:
    levels = np.arange(30 * 16, dtype=np.uint8).reshape(30, 4, 4)
    data = loaded("array", write(tmp_path / "b.npy", levels), prepare={"scaling": "unit"})
    assert data.value_range == (0.0, 255.0)
    floats = write(tmp_path / "f.npy", X)
    with pytest.raises(UserError, match=r"'symmetric' needs data with a declared range"):
        loaded("array", floats, prepare={"scaling": "symmetric"})
    data = loaded("array", floats, prepare={"scaling": "symmetric"}, value_range=[-5, 5])
    assert data.train == pytest.approx(loaded("array", floats, **RAW).train / 5, abs=1e-6)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array(["a", "b"]), r"values of type <U1; numbers are wanted"),
        (np.zeros(30), r"shape \(30,\); \(N, D\)"),
        (np.zeros((30, 0)), r"shape \(30, 0\)"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
        (np.zeros((30, 20, 20, 20)), r"shape \(30, 20, 20, 20\)"),
        (np.where(np.arange(60).reshape(30, 2) == 7, np.nan, 1.0), r"point 3 holds values that are not finite"),
        (np.where(np.arange(60).reshape(30, 2) == 7, 1e300, 1.0), r"point 3 holds values .* or beyond float32"),
        (np.ones((30, 2)), r"'centered': all points of the train split are the same"),
        (np.zeros((1, 2)), r"leaves 1 of 1 points to train on"),
    ],
)
def test_arrays_that_are_no_data_are_named(x: np.ndarray, message: str, tmp_path: Path) -> None:
    with np.errstate(over="ignore"), pytest.raises(UserError, match=message):
        loaded("array", write(tmp_path / "x.npy", x))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:29], r"labels of shape \(29,\), and 30 points"),
        (Y - 1, "label -1 is out of range"),
        (Y * 100, "label 300 is out of range"),
        (Y.astype(float), "labels of type float64; whole numbers"),
    ],
)
def test_labels_that_do_not_fit_are_named(y: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        loaded("array", write(tmp_path / "x.npz", X, y))


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_pickle_bomb_does_not_go_off(suffix: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "it went off", tmp_path / f"x{suffix}"
    bomb = np.array([Bomb(marker)], dtype=object)
    pickle.loads(pickle.dumps(bomb))
    assert marker.exists(), "a bomb it is"
    marker.unlink()
    if suffix == ".npy":
        np.save(path, bomb, allow_pickle=True)
    else:
        np.savez(path, x=bomb)
    with pytest.raises(UserError, match="cannot be read as"):
        loaded("array", path)
    assert not marker.exists()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_truncated_files_are_named(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"x{suffix}", X, Y)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match=rf"x{suffix}: cannot be read as"):
        loaded("array", path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=rf"x{suffix}: cannot be read as"):
        loaded("array", path)


def test_other_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the array is missing; looked for .*x.npy"):
        loaded("array", tmp_path / "x.npy")
    (tmp_path / "x.csv").write_text("1,2\n")
    with pytest.raises(UserError, match=r"x.csv ends in '.csv'; an array is a .npy, .npz or .zarr"):
        loaded("array", tmp_path / "x.csv")
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(UserError, match=r"x.zarr: cannot be opened as Zarr"):
        loaded("array", tmp_path / "x.zarr")
    np.savez(tmp_path / "ab.npz", a=X, b=X)
    with pytest.raises(UserError, match=r"holds the arrays a, b; call the points 'x'"):
        loaded("array", tmp_path / "ab.npz")
    with pytest.raises(UserError, match=r"data.labels = 'z' is no array in .*; it holds x, y"):
        loaded("array", write(tmp_path / "xy.npz", X, Y), labels="z")


def npy(shape: str) -> bytes:
    """The head of an .npy file, and nothing of what it promises."""
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()


@pytest.mark.parametrize(
    "shape", ["(1000000000000000, 4)", "(40, -1)", "(4611686018427387904, 4)", "(", "(1.5, 2)", "('a', 2)"]
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_head_that_lies(shape: str, suffix: str, tmp_path: Path) -> None:
    """Found by fuzzing: NumPy fails in many ways, none of which its documentation names."""
    path = tmp_path / f"x.{suffix}"
    if suffix == "npy":
        path.write_bytes(npy(shape) + bytes(64))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", npy(shape) + bytes(64))
    with pytest.raises(UserError, match=rf"x\.{suffix}: cannot be read as"):
        loaded("array", path)


def test_an_archive_that_grows_beyond_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array, "MOST_OF_MEMORY", 1e-6)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((4000, 64), np.float32))
    with pytest.raises(UserError, match=r"unpacked it takes 0.0 GB, more than .* or save its arrays as .npy or .zarr"):
        loaded("array", tmp_path / "x.npz")


def test_an_archive_member_that_is_no_array_is_named(tmp_path: Path) -> None:
    """NumPy hands out the bytes of a member that does not begin as an array does. Found by fuzzing."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", b"no array at all")
    with pytest.raises(UserError, match=r"x\.npz.*\['x'\] in it: not arrays"):
        loaded("array", tmp_path / "x.npz")


@pytest.mark.parametrize("file", ["x/zarr.json", "x/c/*", "y/zarr.json", "y/c/*"])
def test_a_damaged_zarr_is_named(file: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.zarr", X, Y)
    whole = next(p for p in sorted(path.rglob("*")) if p.is_file() and fnmatch(str(p), f"*/{file}"))
    whole.write_bytes(b"\xff{" + whole.read_bytes()[:7])
    with pytest.raises(UserError, match=r"x.zarr: (cannot be opened as Zarr|its values cannot be read)"):
        loaded("array", path)
