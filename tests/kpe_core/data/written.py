"""Small data sets written in the true formats: what the loaders' tests read."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from kpe_core.data.sets.cifar import Edition


def jpeg(path: Path, pixels: np.ndarray) -> None:
    """A JPEG of (H, W) or (H, W, 3) bytes, as cameras' are: lossy, subsampled colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "JPEG", quality=90)


def smooth(seed: int, height: int, width: int) -> np.ndarray:
    """A colour picture (H, W, 3) uint8 without sharp edges, so that JPEG changes little."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = [np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in rng.uniform(0, 1.5, size=(3, 3))]
    return (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


# -- CIFAR -------------------------------------------------------------------------------------------------------------


class Python2Pickler(pickle._Pickler):  # type: ignore[misc]
    """Pickles as the published batches were: protocol 2 with Python 2's byte strings and NumPy's old module name."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def _string(self, text: bytes | str) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.write(b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = str(obj.__module__).replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{name or obj.__qualname__}\n".encode())
        self.memoize(obj)

    dispatch[bytes] = dispatch[str] = _string
    dispatch[type] = save_global
    dispatch[type(pickle.dumps)] = dispatch[type(lambda: 0)] = save_global


def python2_pickle(value: Any) -> bytes:
    out = io.BytesIO()
    Python2Pickler(out, protocol=2).dump(value)
    return out.getvalue()


def cifar_files(edition: Edition, each: int = 20, classes: int = 10, seed: int = 0) -> dict[str, bytes]:
    """The edition's files in miniature, ``each`` images a batch."""
    rng = np.random.default_rng(seed)
    labels = edition.labels_key.decode()
    files = {}
    for name in [*edition.train, *edition.test]:
        content = {
            "batch_label": f"batch {name}",
            labels: [int(c) for c in np.arange(each) % classes],
            "data": rng.integers(0, 256, size=(each, 3072), dtype=np.uint8),
            "filenames": [f"{i}.png" for i in range(each)],
        }
        files[name] = python2_pickle(content)
    names = [f"class {c}" for c in range(classes)]
    files[next(iter(edition.meta))] = python2_pickle({edition.names_key.decode(): names, "num_cases_per_batch": each})
    return files


def published(edition: Edition, files: dict[str, bytes]) -> Edition:
    """The edition as if these files were the published ones."""

    def sums(part: dict[str, str]) -> dict[str, str]:
        return {name: hashlib.md5(files[name]).hexdigest() for name in part}

    return replace(edition, train=sums(edition.train), test=sums(edition.test), meta=sums(edition.meta))


def write_folder(root: Path, edition: Edition, files: dict[str, bytes]) -> None:
    (root / edition.folder).mkdir(parents=True)
    for name, data in files.items():
        (root / edition.folder / name).write_bytes(data)


def write_tarball(root: Path, edition: Edition, files: dict[str, bytes]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / edition.tarball, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{edition.folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return root / edition.tarball


# -- CelebA ------------------------------------------------------------------------------------------------------------


def write_celeba(root: Path, n: int = 12, height: int = 218, width: int = 178) -> list[np.ndarray]:
    """Pictures, partition (every fourth for test, every sixth for validation), identities and two attributes."""
    pixels = [smooth(i, height, width) for i in range(n)]
    parts = [2 if i % 4 == 3 else 1 if i % 6 == 5 else 0 for i in range(n)]
    for i, picture in enumerate(pixels):
        jpeg(root / "img_align_celeba" / f"{i + 1:06d}.jpg", picture)

    def lines(values: list[Any]) -> str:
        return "".join(f"{i + 1:06d}.jpg {v}\n" for i, v in enumerate(values))

    (root / "list_eval_partition.txt").write_text(lines(parts))
    (root / "identity_CelebA.txt").write_text(lines([2880 + i % 3 for i in range(n)]))
    signs = [f"{-1 if i % 2 else 1:2d} {1 if i % 3 else -1:2d}" for i in range(n)]
    (root / "list_attr_celeba.txt").write_text(f"{n}\nSmiling Young \n" + lines(signs))
    return pixels


# -- idx ---------------------------------------------------------------------------------------------------------------


def idx_bytes(array: np.ndarray) -> bytes:
    """MNIST's format: magic number, big-endian sizes, the bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(root: Path, zipped: bool = True, n: int = 40, n_test: int = 10) -> dict[str, np.ndarray]:
    """The four files in miniature."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part, size in (("train", n), ("t10k", n_test)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, size=(size, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = np.arange(size, dtype=np.uint8) % 10
    for name, array in arrays.items():
        data = idx_bytes(array)
        (root / f"{name}{'.gz' if zipped else ''}").write_bytes(gzip.compress(data) if zipped else data)
    return arrays


# -- class folders -----------------------------------------------------------------------------------------------------


def write_imagenet(root: Path, each: int = 3, synsets: tuple[str, ...] = ("n01440764", "n01443537")) -> None:
    """Class folders of train and val, pictures of many sizes, and Kaggle's file of names."""
    for part, size in (("train", each), ("val", 2)):
        for c, synset in enumerate(synsets):
            for i in range(size):
                height, width = 300 + 40 * i, 520 - 60 * i
                jpeg(root / part / synset / f"{synset}_{i}.JPEG", smooth(10 * c + i, height, width))
    names = ("tench, Tinca tinca", "goldfish, Carassius auratus")
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{s} {n}\n" for s, n in zip(synsets, names, strict=False)))


# -- latents -----------------------------------------------------------------------------------------------------------


def write_latents(
    root: Path, kind: str = "safetensors", sizes: tuple[int, ...] = (7, 5), labels: bool = True, side: int = 32
) -> np.ndarray:
    """Shards of float16 latents (N, 4, side, side) in three classes."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    shards = [rng.normal(0, 5.5, size=(n, 4, side, side)).astype(np.float16) for n in sizes]
    for s, latents in enumerate(shards):
        y = np.arange(len(latents), dtype=np.int64) % 3
        if kind == "safetensors":
            save_file({"latents": latents, **({"labels": y} if labels else {})}, root / f"shard_{s:03d}.safetensors")
        else:
            np.save(root / f"{s:03d}.npy", latents)
            if labels:
                (root / "labels").mkdir(exist_ok=True)
                np.save(root / "labels" / f"{s:03d}.npy", y)
    return np.concatenate(shards)
