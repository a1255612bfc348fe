"""Learned weights as a file: an .npz without pickled objects, with kind, version and checksum.

Imports numpy: load it late.
"""

import hashlib
import io
import json
import logging
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Array = np.ndarray
Weights = TypeVar("Weights")

# A file of this size holds hundreds of models.
MOST_BYTES = 64 * 2**20

_log = logging.getLogger(__name__)


def save(path: Path, kind: str, version: int, about: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Writes the file whole or not at all. `about` is what JSON can hold.

    Raises:
        OSError: it cannot be written.
    """
    header = {"kind": kind, "version": version, "sha256": _checksum(about, arrays), "about": about}
    packed = io.BytesIO()
    np.savez_compressed(packed, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    draft = path.with_name(f"{path.name}.draft")
    draft.write_bytes(packed.getvalue())
    draft.replace(path)


def load(path: Path, kind: str, version: int, arrays: Sequence[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `save` was given: `about` and the arrays of these names.

    Raises:
        ValueError: it is no file of that kind, of another version, or damaged; says which.
        OSError: it cannot be read.
    """
    header, found = _contents(path, kind)
    if header.get("version") != version:
        raise ValueError(f"it is of version {header.get('version')}, and this program reads {version}")
    about: dict[str, Any] = header.get("about", {})
    if found.keys() != set(arrays) or header.get("sha256") != _checksum(about, found):
        raise ValueError("it is damaged: its checksum does not match")
    return about, found


def is_one(path: Path, kind: str) -> bool:
    """Whether the file is one of that kind, of any version."""
    try:
        _contents(path, kind)
    except (OSError, ValueError):
        return False
    return True


def usable(load: Callable[[Path], Weights], path: Path, instead: str) -> Weights | None:
    """What `load` makes of the file; None where it cannot, said in the log with what stands in."""
    try:
        return load(path)
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else problem
        _log.warning("The routing weights in %s are not used; %s; %s.", path.name, why, instead)
        return None


def _contents(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Array]]:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("it is no file of routing weights: it is too large")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as packed:
            arrays = dict(packed)
            header = json.loads(arrays.pop("header").tobytes())
    # RuntimeError: it says that it is encrypted, or packed in an unknown way.
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, RuntimeError, TypeError, AttributeError):
        raise ValueError("it is no file of routing weights, or damaged") from None
    if not isinstance(header, dict) or header.get("kind") != kind:
        raise ValueError("it is no file of these routing weights")
    return header, arrays


def _checksum(about: Any, arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
