"""A trained model as a file: an .npz without pickled objects, with a version and a checksum. Imports numpy: load late.

Weights are kept in 16 bits, which changes a P by about 0.001.
"""

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from vel_tutor_mcp.routing.design import STEPS
from vel_tutor_mcp.routing.learned import Model
from vel_tutor_mcp.routing.ngrams import BUCKETS
from vel_tutor_mcp.routing.traits import NAMES

Array = np.ndarray

KIND = "vel-tutor-mcp routing weights"
# Of the features as much as of the file: another one's weights would mean other words.
VERSION = 1
# A file of this size holds hundreds of models.
MOST_BYTES = 64 * 2**20
_ARRAYS = ("means", "rarity", "grams", "steps", "table", "curve")
# Not the thresholds: traits are often equal to one.
_HALVED = ("means", "rarity", "grams", "table")


def save(model: Model, path: Path) -> None:
    """Writes the file whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {name: getattr(model, name) for name in _ARRAYS}
    arrays |= {name: arrays[name].astype(np.float16) for name in _HALVED}
    about = {"names": model.names, "default": model.default, "margin": model.margin}
    header = {"kind": KIND, "version": VERSION, "sha256": _checksum(about, arrays), **about}
    packed = io.BytesIO()
    np.savez_compressed(packed, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    draft = path.with_name(f"{path.name}.draft")
    draft.write_bytes(packed.getvalue())
    draft.replace(path)


def load(path: Path) -> Model:
    """The model in the file.

    Raises:
        ValueError: it is no file of ours, of another version, or damaged; says which.
        OSError: it cannot be read.
    """
    header, arrays = _contents(path)
    if header.get("version") != VERSION:
        raise ValueError(f"it is of version {header.get('version')}, and this program reads {VERSION}")
    about = {name: header.get(name) for name in ("names", "default", "margin")}
    if header.get("sha256") != _checksum(about, arrays) or not _fits(header, arrays):
        raise ValueError("it is damaged: its checksum does not match")
    return Model(
        names=tuple(header["names"]),
        default=header["default"],
        margin=header["margin"],
        **(arrays | {name: arrays[name].astype(np.float32) for name in _HALVED}),
    )


def is_one(path: Path) -> bool:
    """Whether the file is one of ours, of any version."""
    try:
        _contents(path)
    except (OSError, ValueError):
        return False
    return True


def _contents(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("it is no file of routing weights: it is too large")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as packed:
            header = json.loads(packed["header"].tobytes())
            arrays = {name: packed[name] for name in _ARRAYS}
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, NotImplementedError, AttributeError):
        raise ValueError("it is no file of routing weights, or damaged") from None
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise ValueError("it is no file of routing weights")
    return header, arrays


def _checksum(about: dict[str, Any], arrays: dict[str, Array]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in _ARRAYS:
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _fits(header: dict[str, Any], arrays: dict[str, Array]) -> bool:
    count, traits = len(header["names"]), len(NAMES)
    shapes = {
        "means": (count,),
        "rarity": (BUCKETS,),
        "grams": (BUCKETS, 1 + count),
        "steps": (traits, STEPS),
        "table": (traits, STEPS + 1, 1 + count),
        "curve": (5,),
    }
    return all(arrays[name].shape == shape for name, shape in shapes.items())
