"""A trained model as a file. Imports numpy: load it late.

Weights are kept in 16 bits, which changes a P by about 0.001.
"""

from pathlib import Path
from typing import Any

import numpy as np

from vel_tutor_mcp.routing import weights_file
from vel_tutor_mcp.routing.design import STEPS
from vel_tutor_mcp.routing.learned import Model
from vel_tutor_mcp.routing.ngrams import BUCKETS
from vel_tutor_mcp.routing.traits import NAMES

Array = np.ndarray

KIND = "vel-tutor-mcp routing weights"
# Of the features as much as of the file: another one's weights would mean other words.
VERSION = 2
_ARRAYS = ("means", "grams", "steps", "table", "curve")
# Not the thresholds: traits are often equal to one.
_HALVED = ("means", "grams", "table")


def save(model: Model, path: Path) -> None:
    """Raises:
    OSError: it cannot be written.
    """
    arrays = {name: getattr(model, name) for name in _ARRAYS}
    arrays |= {name: arrays[name].astype(np.float16) for name in _HALVED}
    about = {"names": model.names, "default": model.default, "margin": model.margin}
    weights_file.save(path, KIND, VERSION, about, arrays)


def load(path: Path) -> Model:
    """The model in the file.

    Raises:
        ValueError, OSError: see `weights_file.load`.
    """
    about, arrays = weights_file.load(path, KIND, VERSION, _ARRAYS)
    if not _fits(about, arrays):
        raise ValueError("it is for other features than this program has")
    return Model(
        names=tuple(about["names"]),
        default=about["default"],
        margin=about["margin"],
        **(arrays | {name: arrays[name].astype(np.float32) for name in _HALVED}),
    )


def is_one(path: Path) -> bool:
    """Whether the file is one of ours, of any version."""
    return weights_file.is_one(path, KIND)


def _fits(about: dict[str, Any], arrays: dict[str, Array]) -> bool:
    count, traits = len(about["names"]), len(NAMES)
    shapes = {
        "means": (count,),
        "grams": (BUCKETS, 1 + count + 1),
        "steps": (traits, STEPS),
        "table": (traits, STEPS + 1, 1 + count),
        "curve": (5,),
    }
    return all(arrays[name].shape == shape for name, shape in shapes.items())
