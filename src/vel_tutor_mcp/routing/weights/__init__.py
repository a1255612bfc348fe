"""Files of learned weights, each with its SHA-256 in `SHA256SUMS`: what is damaged or from elsewhere is not used."""

import hashlib
import io
import logging
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SUMS = "SHA256SUMS"

_log = logging.getLogger(__name__)


def read(name: str, folder: Traversable | None = None) -> "dict[str, np.ndarray] | None":
    """The arrays of a file of weights; None, with a warning in the log, where it is absent or not as it was shipped."""
    import numpy as np

    place = folder or files(__package__)
    try:
        content = (place / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != _sums((place / SUMS).read_text("utf-8")).get(name):
            _log.warning("The learned weights %s are not used; they differ from what was shipped; install anew.", name)
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as problem:
        _log.warning("The learned weights %s are not used; they cannot be read (%s); install anew.", name, problem)
        return None


def _sums(text: str) -> dict[str, str]:
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}
