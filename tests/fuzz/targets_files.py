"""Targets that read files others wrote: data sets, checkpoints, and what lies in a store."""

import gzip
import io
import json
import pickle
import random
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from kpe_core.catalog.catalog import Catalog
from kpe_core.data.datasets import load
from kpe_core.data.sets.cifar import CIFAR10, cifar_set
from kpe_core.features.decoder import LatentDecoder, vae_sha256
from kpe_core.features.dinov2 import dinov2
from kpe_core.features.extractor import extract
from kpe_core.features.registry import weights_sha256
from kpe_core.fields.pretrained.diffusers_folder import vae_folder
from kpe_core.fields.pretrained.field import PretrainedVelocity
from kpe_core.fields.pretrained.inspect import look_at
from kpe_core.fields.pretrained.layouts import LAYOUTS, weights_hash
from kpe_core.fields.pretrained.layouts import load as load_model
from kpe_core.stages.verify import damages
from kpe_core.store.store import Store
from kpe_core.study.specs import DataSpec, DinoSpace
from kpe_core.study.specs.pretrained import PretrainedField
from kpe_core.telemetry.status import status
from kpe_core.weights.tensors import read_tensors
from tests.fuzz.harness import Target
from tests.fuzz.mutate import mutated, mutated_bytes, mutated_text
from tests.kpe_core.data import written as data_written
from tests.kpe_core.features.written import tiny_dinov2
from tests.kpe_core.fields.pretrained import folders as written
from tests.kpe_core.fields.pretrained import written as models_written

Given = dict[str, Any]


class Payload:
    """A pickle of it makes a file where it is loaded."""

    def __init__(self, canary: Path, via: int = 0) -> None:
        self.canary, self.via = str(canary), via

    def __reduce__(self) -> Any:
        return [
            (__import__("os").system, (f"touch {self.canary}",)),
            (exec, (f"open({self.canary!r}, 'w').close()",)),
            (open, (self.canary, "w")),
            (__import__("subprocess").call, (["touch", self.canary],)),
            (eval, (f"__import__('os').mkdir({self.canary!r})",)),
        ][self.via]


def payloads(canary: Path) -> list[Payload]:
    return [Payload(canary, i) for i in range(5)]


# -- data --------------------------------------------------------------------------------------------------------------


def liars(canary: Path) -> list[tuple[str, bytes]]:
    """Arrays whose heads promise what is not there, archives that grow without end, pickles that act."""

    def npy(shape: str, descr: str = "'<f4'", body: bytes = b"\0" * 64) -> bytes:
        head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
        head += " " * (-(len(head) + 11) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode("latin1") + body

    def archive(**members: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            for name, data in members.items():
                z.writestr(f"{name}.npy", data)
        return out.getvalue()

    shapes = [
        "(1000000000000000, 4)", "(-1, 4)", "(4, -4)", "(0, 4)", "(4, 0)", "()", "(16,)", "(2**60, 2**60)",
        "(4611686018427387904, 4)", "(99999999999999999999, 2)", "(1,) * 40", "(2, 2, 2, 2, 2)", "('a', 2)",
        "(True, 4)",
        "(1.5, 2)", "__import__('os')", "(" * 300,
    ]  # fmt: skip
    kinds = [
        "'|O'", "'<U4'", "'<M8[D]'", "'V8'", "[('a', '<f4')]", "'<c16'", "'>f8'", "'<f2'", "'|b1'", "'<f16'", "'|S0'",
        "'no'",
    ]  # fmt: skip
    found = [("x.npy", npy(shape)) for shape in shapes] + [("x.npy", npy("(4, 4)", kind)) for kind in kinds]
    for payload in payloads(canary):
        objects = io.BytesIO()
        np.save(objects, np.array([payload, payload], dtype=object), allow_pickle=True)
        found += [
            ("x.npy", objects.getvalue()),
            ("x.npz", archive(x=objects.getvalue())),
            ("x.npy", pickle.dumps(payload)),
        ]
        found += [("x.npz", pickle.dumps(payload)), ("x.npz", archive(x=npy("(2, 4)"), y=objects.getvalue()))]
    found += [("x.npz", archive(x=npy(shape))) for shape in shapes[:10]]
    found.append(("x.npz", archive(x=npy("(500000000, 1)", "'|i1'", b""))))
    bomb = npy("(8000000000, 1)", "'|i1'", b"")
    deflate = zlib.compressobj(9)
    packed = deflate.compress(b"\0" * 10**7) + deflate.flush()
    assert len(packed) < 20_000
    found.append(("x.npz", archive(x=npy("(1000000, 300)", "'<f4'", bytes(1_200_000_000 // 40)))))
    found.append(("x.npz", archive(**{"../../../" + canary.name: npy("(4, 4)"), str(canary): npy("(4, 4)")})))
    return [*found, ("x.npy", bomb)]


def arrays(folder: Path) -> Target:
    """.npy and .npz: mutated bytes, and heads and archives that lie."""
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(40, 6)).astype(np.float32), np.arange(40) % 3
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, points)
    np.savez_compressed(npz, x=points, y=labels)
    told = [("x.npy", npy.getvalue()), ("x.npz", npz.getvalue())]
    lies = liars(folder.parent / "canary")

    def make(rng: random.Random) -> tuple[str, bytes]:
        if rng.random() < 0.2:
            name, data = rng.choice(lies)
            return name, data if rng.random() < 0.6 or len(data) > 10**5 else mutated_bytes(rng, data)
        name, data = rng.choice(told)
        return name, mutated_bytes(rng, data)

    def run(given: tuple[str, bytes]) -> None:
        (folder / given[0]).write_bytes(given[1])
        _load(folder, "array", folder / given[0], labels="y" if given[0] == "x.npz" else None)

    return Target("arrays", make, run, folder)


def _load(folder: Path, name: str, root: Path, **choices: Any) -> None:
    """Every point of a set, past every cache."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    load.__wrapped__(DataSpec.model_validate({"name": name, "root": str(root), **choices}))


def trees(folder: Path) -> Target:
    """Data sets that are folders of files: one file of them spoiled, or gone, or in another's place."""
    sources: dict[str, tuple[str, dict[str, Any]]] = {}

    def source(name: str, set_: str, write: Callable[[Path], object], **choices: Any) -> None:
        write(folder / "sources" / name)
        sources[name] = (set_, choices)

    def pictures(root: Path) -> None:
        for c, kind in enumerate(("png", "jpg", "bmp", "webp", "tiff")):
            for i in range(2):
                path = root / ("cats", "dogs")[i] / f"{c}.{kind}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(data_written.smooth(c + 9 * i, 24, 20)).save(path)

    def zarr_array(root: Path) -> None:
        import zarr

        group = zarr.open_group(str(root / "x.zarr"), mode="w")
        group.create_array("x", data=np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32), chunks=(10, 6))
        group.create_array("y", data=np.arange(40) % 3)

    source("idx", "mnist", lambda root: data_written.write_idx(root, zipped=True, n=20))
    source("raw idx", "fashion_mnist", lambda root: data_written.write_idx(root, zipped=False, n=20))
    source("latents", "latents", lambda root: data_written.write_latents(root, side=4), scale_factor=0.2)
    source("npy latents", "latents", lambda root: data_written.write_latents(root, "npy", side=4), scale_factor=0.2)
    source("folder", "image_folder", pictures, size=8)
    source(
        "celeba",
        "celeba",
        lambda root: data_written.write_celeba(root, n=12, height=40, width=32),
        size=8,
        labels="Smiling",
    )
    source("imagenet", "imagenet", lambda root: data_written.write_imagenet(root, each=2), size=8)
    source("zarr", "array", zarr_array)
    (folder / "sources" / "latents" / "latents.json").write_text(
        '{"scale_factor": 0.18, "class_names": ["a", "b", "c"]}'
    )
    names = list(sources)

    def make(rng: random.Random) -> Given:
        name = rng.choice(names)
        root = folder / "sources" / name
        files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
        edits: dict[str, bytes | None] = {}
        for _ in range(rng.choice([1, 1, 2])):
            file = rng.choice(files)
            data = (root / file).read_bytes()
            kind = rng.random()
            if kind < 0.08:
                edits[str(file)] = None
            elif kind < 0.16:
                edits[str(file)] = (root / rng.choice(files)).read_bytes()
            elif file.suffix == ".json" and kind < 0.7:
                edits[str(file)] = _json(rng, data)
            elif file.suffix == ".txt" and kind < 0.7:
                edits[str(file)] = mutated_text(rng, data.decode()).encode("utf-8", "surrogatepass")
            elif file.suffix == ".gz" and kind < 0.8:
                edits[str(file)] = gzip.compress(mutated_bytes(rng, gzip.decompress(data)))
            else:
                edits[str(file)] = mutated_bytes(rng, data)
        return {"set": name, "edits": edits}

    def run(given: Given) -> None:
        root = folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(folder / "sources" / given["set"], root)
        for file, data in given["edits"].items():
            (root / file).unlink()
            if data is not None:
                (root / file).write_bytes(data)
        set_, choices = sources[given["set"]]
        _load(folder, set_, root / "x.zarr" if given["set"] == "zarr" else root, **choices)

    return Target("data folders", make, run, folder)


def _json(rng: random.Random, data: bytes) -> bytes:
    """JSON with values edited, or its text."""
    if rng.random() < 0.7:
        try:
            document = json.loads(data)
            return json.dumps(mutated(rng, document, [document]), default=repr).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError, TypeError):
            return b"null"
    return mutated_text(rng, data.decode(errors="replace")).encode("utf-8", "surrogatepass")


def batches(folder: Path) -> Target:
    """CIFAR's pickles with right checksums and wrong contents, and pickles that act."""
    files = data_written.cifar_files(CIFAR10, each=4)
    acts = [pickle.dumps(payload, protocol) for payload in payloads(folder.parent / "canary") for protocol in (0, 2, 4)]
    acts += [
        b"cos\nsystem\n(S'touch /x'\ntR.",
        b"c_codecs\nencode\n(Vx\nVhex\ntR.",
        b"\x80\x04" + b"(" * 10000,
        b"cnumpy\ndtype\n(S'O'\ntR.",
    ]
    bombs = [
        b"(lp0\n" + b"".join(b"(g%d\ng%d\nlp%d\n" % (i, i, i + 1) for i in range(40)) + b".",
        b"\x80\x04\x8d" + b"\xff" * 8,
        b"]" * 5000 + b".",
    ]

    def make(rng: random.Random) -> dict[str, bytes]:
        name = rng.choice(list(files))
        kind = rng.random()
        data = rng.choice(acts + bombs) if kind < 0.15 else mutated_bytes(rng, files[name])
        return {name: data}

    def run(given: dict[str, bytes]) -> None:
        changed = files | given
        edition = data_written.published(replace(CIFAR10), changed)
        root = folder / "cifar"
        shutil.rmtree(root, ignore_errors=True)
        data_written.write_folder(root, edition, changed)
        found = cifar_set(edition).open(DataSpec(name="cifar10", root=str(root)))
        found.read(np.arange(min(2, len(found))))

    return Target("pickles", make, run, folder)


# -- models ------------------------------------------------------------------------------------------------------------


def checkpoints(folder: Path) -> Target:
    """torch.save and safetensors files of models, looked at and loaded; programs among them are never run."""
    canary = folder.parent / "canary"
    made: dict[str, bytes] = {}
    for name, write in (("authors_unet", models_written.authors_file), ("torchcfm", models_written.torchcfm_file)):
        made[f"{name}.pt"] = write(folder / f"{name}.pt").read_bytes()
        load_model(
            PretrainedField(kind="pretrained", layout=name, path=f"{name}.pt")
        )  # its imports count as nobody's hang
        tensors = {k: v.contiguous() for k, v in read_tensors(folder / f"{name}.pt").items()}
        made[f"{name}.safetensors"] = safetensors.torch.save(tensors)
    small = io.BytesIO()
    torch.save({"net": {"w": torch.zeros(2, 2)}, "step": 3}, small)
    made["small.pt"] = small.getvalue()
    old = io.BytesIO()
    torch.save({"w": torch.zeros(2, 2)}, old, _use_new_zipfile_serialization=False)
    made["old.pt"] = old.getvalue()
    acts = []
    for payload in payloads(canary):
        for new in (True, False):
            out = io.BytesIO()
            torch.save({"w": torch.zeros(2), "x": payload}, out, _use_new_zipfile_serialization=new)
            acts.append(("act.pt", out.getvalue()))
        acts += [
            ("act.pt", pickle.dumps(payload)),
            ("act.safetensors", pickle.dumps(payload)),
            ("act.bin", pickle.dumps(payload, 0)),
        ]
    head = json.dumps({"w": {"dtype": "F32", "shape": [10**12, 10**6], "data_offsets": [0, 4 * 10**18]}}).encode()
    acts.append(("lie.safetensors", struct.pack("<Q", len(head)) + head))
    acts.append(("lie.safetensors", struct.pack("<Q", 2**63) + head))
    acts.append(("lie.safetensors", struct.pack("<Q", 4) + b"[[[["))
    names = list(made)

    def make(rng: random.Random) -> tuple[str, bytes]:
        if rng.random() < 0.15:
            name, data = rng.choice(acts)
            return name, data if rng.random() < 0.5 else mutated_bytes(rng, data)
        name = rng.choice(names)
        data = made[name]
        if name.endswith(".safetensors") and rng.random() < 0.5:  # the head, and only it
            size = struct.unpack("<Q", data[:8])[0]
            text = mutated_bytes(rng, data[8 : 8 + size]) if rng.random() < 0.5 else _json(rng, data[8 : 8 + size])
            return name, struct.pack("<Q", len(text)) + text + data[8 + size :]
        if name.endswith(".pt") and name != "old.pt" and rng.random() < 0.5:  # the pickle inside the archive
            return name, _repacked(rng, data)
        return name, mutated_bytes(rng, data)

    def run(given: tuple[str, bytes]) -> None:
        path = folder / given[0]
        path.write_bytes(given[1])
        found = look_at(path)
        if found.layout is not None and not LAYOUTS[found.layout].runs_code:
            load_model(PretrainedField(kind="pretrained", layout=found.layout, path=str(path)))

    return Target("checkpoints", make, run, folder)


def folders(folder: Path) -> Target:
    """Folders of diffusers' and transformers' models with one or two files spoiled: looked at, hashed, loaded, asked."""
    sources = folder / "sources"
    tiny_dinov2(sources / "dino")
    (sources / "dino" / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}')
    written.unet(sources / "unet" / "unet")
    written.scheduler(sources / "unet")
    written.unet(sources / "flow" / "unet", classes=3)
    written.scheduler(sources / "flow", "FlowMatchEulerDiscreteScheduler")
    written.dit(sources / "dit" / "transformer")
    written.vae(sources / "dit" / "vae")
    written.shards(sources / "shards")
    for name, ask in FOLDERS.items():
        ask(sources / name)  # its imports count as nobody's hang

    def make(rng: random.Random) -> Given:
        name = rng.choice(list(FOLDERS))
        files = sorted(path for path in (sources / name).rglob("*") if path.is_file())
        edits: dict[str, bytes | None] = {}
        for _ in range(rng.choice([1, 1, 2])):
            file = rng.choice([f for f in files if f.suffix == ".json"] if rng.random() < 0.7 else files)
            data, kind = file.read_bytes(), rng.random()
            if kind < 0.08:
                spoiled = None
            elif kind < 0.16:
                spoiled = rng.choice(files).read_bytes()
            elif file.suffix == ".json" and kind < 0.9:
                spoiled = _json(rng, data)
            else:
                spoiled = mutated_bytes(rng, data)
            edits[str(file.relative_to(sources / name))] = spoiled
        return {"folder": name, "edits": edits}

    def run(given: Given) -> None:
        root = folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(sources / given["folder"], root)
        for file, data in given["edits"].items():
            (root / file).unlink()
            if data is not None:
                (root / file).write_bytes(data)
        FOLDERS[given["folder"]](root)

    return Target("model folders", make, run, folder)


def _ask_field(root: Path, shape: tuple[int, ...] = (1, 8, 8), **choices: Any) -> None:
    look_at(root)
    spec = PretrainedField.model_validate({"kind": "pretrained", "layout": "diffusers", "path": str(root)} | choices)
    weights_hash(spec)
    PretrainedVelocity(spec, load_model(spec), shape).prove()


def _ask_pipeline(root: Path) -> None:
    _ask_field(root, (4, 8, 8), n_classes=10, null_label=10)
    if (vae := vae_folder(root)) is not None:
        vae_sha256(str(vae))
        LatentDecoder(vae).decode(torch.zeros(1, 4, 2, 2))


def _ask_dinov2(root: Path) -> None:
    spec = DinoSpace(extractor="dinov2", folder=str(root), side=28)
    weights_sha256(spec)
    extract(dinov2(spec, lambda x: x.reshape(-1, 3, 4, 4)), torch.zeros(2, 48))


FOLDERS: dict[str, Callable[[Path], None]] = {
    "unet": _ask_field,
    "flow": lambda root: _ask_field(root, n_classes=3),
    "shards": _ask_field,
    "dit": _ask_pipeline,
    "dino": _ask_dinov2,
}
"""What each is asked."""


def _repacked(rng: random.Random, data: bytes) -> bytes:
    """A torch archive with one of its members spoiled and a right index."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        spoiled = rng.choice([n for n in names if n.endswith("data.pkl")] if rng.random() < 0.7 else names)
        for name in names:
            inside = old.read(name)
            new.writestr(name, mutated_bytes(rng, inside) if name == spoiled else inside)
    return out.getvalue()


# -- stores ------------------------------------------------------------------------------------------------------------

QUESTIONS = (
    "SELECT count(*), avg(kpe) FROM samples", "FROM runs", "FROM study_runs", "FROM checks", "FROM telemetry",
    "SELECT max(x) FROM trajectory WHERE sample = 7", "SELECT count(*) FROM states WHERE sample < 3",
    "FROM spearman('samples', kpe, norm, run)",
)  # fmt: skip


def stores(folder: Path, url: str) -> Target:
    """A finished store with one or two of its objects spoiled: opened, listed, asked and verified."""
    files = {str(p.relative_to(url)): p.read_bytes() for p in sorted(Path(url).rglob("*")) if p.is_file()}
    documents = [name for name in files if name.endswith(".json")]
    others = [name for name in files if name not in documents]
    read = [name for name in documents if re.search(r"(store|manifest|run|runs|plan|x/zarr|x/\.\./zarr)\.json$", name)]
    read += [name for name in files if name.endswith(".parquet")]
    root = folder / "store"
    shutil.copytree(url, root)

    def make(rng: random.Random) -> Given:
        edits: dict[str, bytes | None] = {}
        for _ in range(rng.choice([1, 1, 2])):
            name = rng.choice(read if rng.random() < 0.6 else documents if rng.random() < 0.5 else others)
            if rng.random() < 0.06:
                edits[name] = None
            elif name in documents and rng.random() < 0.8:
                edits[name] = _json(rng, files[name])
            else:
                edits[name] = mutated_bytes(rng, files[name])
        return {"edits": edits, "ask": rng.choice(QUESTIONS), "verify": rng.random() < 0.3}

    def run(given: Given) -> None:
        try:
            for name, data in given["edits"].items():
                (root / name).unlink()
                if data is not None:
                    (root / name).write_bytes(data)
            _look_through(Store.open(str(root)), given)
        finally:
            for name in given["edits"]:
                (root / name).write_bytes(files[name])

    return Target("store", make, run, folder)


def _look_through(store: Store, given: Given) -> None:
    status(store, now=datetime.now(UTC))
    if given["verify"]:
        for run_id in store.list("runs"):
            list(damages(store, run_id))
    with Catalog(store, memory="1GB") as catalog, catalog.stream(given["ask"], seconds=5) as reader:
        reader.read_all()
