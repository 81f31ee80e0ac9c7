"""A Zarr array may name the codec that decodes it. One that unpickles is refused before it decodes anything."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from kpe_core.data.datasets import source_of
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec

PICKLE = {"id": "pickle", "protocol": 5}


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return open, (str(self.path), "w")


def version_2(root: Path, dtype: str, **codecs: Any) -> Path:
    about = {"zarr_format": 2, "shape": [4, 2], "chunks": [4, 2], "dtype": dtype, "fill_value": 0, "order": "C"}
    root.mkdir()
    (root / ".zarray").write_text(json.dumps(about | {"compressor": None, "filters": None} | codecs))
    return root / "0.0"


def version_3(root: Path, name: str) -> Path:
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": name, "configuration": {}}]
    grid = {"name": "regular", "configuration": {"chunk_shape": [4, 2]}}
    about = {"zarr_format": 3, "node_type": "array", "shape": [4, 2], "data_type": "float32", "chunk_grid": grid}
    (root / "c" / "0").mkdir(parents=True)
    more = {"chunk_key_encoding": {"name": "default"}, "fill_value": 0, "codecs": codecs, "attributes": {}}
    (root / "zarr.json").write_text(json.dumps(about | more))
    return root / "c" / "0" / "0"


@pytest.mark.parametrize("way", ["filter", "compressor", "object", "numcodecs.pickle", "pickle"])
def test_a_codec_that_unpickles_is_refused(tmp_path: Path, way: str) -> None:
    root = tmp_path / "x.zarr"
    if way in ("numcodecs.pickle", "pickle"):
        chunk = version_3(root, way)
    else:
        given = {"compressor": PICKLE} if way == "compressor" else {"filters": [PICKLE]}
        chunk = version_2(root, "|O" if way == "object" else "<f4", **given)
    chunk.write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    with pytest.raises(UserError, match=r"x\.zarr"):
        source_of(DataSpec(name="array", root=str(root))).read([0, 1])  # type: ignore[arg-type]
    assert not (tmp_path / "ran").exists()
