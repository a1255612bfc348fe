"""What trained weights say of a prompt: how hard it is, and P(good enough) of the models that an owner trained on.

The shipped weights know two models of 2023 on two public tests (`weights/DATA_CARD.md`), and learned routers hardly
transfer: so of them only one thing is used, and that shrunk. The gap that they expect between a weak and a strong model
is wider or narrower than usual, which moves the difficulty of a prompt that asks to reason, as those tests do. Without
them, and for all else, the rules' difficulty stands.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.encoding import Encoded, encoded_tokens
from vel_tutor_mcp.routing.features import Features

if TYPE_CHECKING:
    from vel_tutor_mcp.routing.learned import Model

SHIPPED = "quality.npz"
# How much of an expected gap is believed of other sources. On subjects of MMLU that were left out 0.34 to 0.73 of it
# came true, but of what was expected within such a subject nothing that can be told: see `weights/DATA_CARD.md`.
TRANSFER = 0.2
# How much wider `priors.P_OK` has the gap of strong and small for the hardest reasoning than for the easiest.
GAP_OF_DIFFICULTY = 0.33
MOST_SHIFT = 0.15

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Estimates:
    """`shipped` and `own` are weights, None where there are none to use; `names` the catalog's full names of the models
    in `own`.
    """

    shipped: "Model | None" = None
    own: "Model | None" = None
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, prompt: str, features: Features) -> tuple[float, dict[str, float]]:
        """The difficulty (0-1), and P(good enough) by the catalog's full names; `features` are those of the prompt."""
        shipped, difficulty = self.shipped if features.task_type is TaskType.REASONING else None, features.difficulty
        if shipped is None and not self.names:
            return difficulty, {}
        seen = encoded_tokens(prompt, features.tokens)
        return difficulty if shipped is None else _shifted(shipped, seen, difficulty), self._chances(seen)

    def _chances(self, seen: Encoded) -> dict[str, float]:
        if self.own is None:
            return {}
        chances = dict(zip(self.own.names, self.own.chances(seen).tolist(), strict=True))
        return {full: chances[name] for name, fulls in self.names.items() for full in fulls}


def _shifted(shipped: "Model", seen: Encoded, difficulty: float) -> float:
    """The rules' difficulty, moved by how much wider than usual the gap between a weak and a strong model is."""
    chances, means, strong = shipped.chances(seen), shipped.means, shipped.default
    # The shipped weights know two models.
    weak = 1 - strong
    wider = float(chances[strong] - chances[weak] - (means[strong] - means[weak]))
    shift = min(MOST_SHIFT, max(-MOST_SHIFT, TRANSFER * wider / GAP_OF_DIFFICULTY))
    return round(min(1.0, max(0.0, difficulty + shift)), 3)


def estimates(catalog: Catalog, own: Path | None, *, learned: bool = True) -> Estimates:
    """What can be used of the shipped weights and an owner's own file; what cannot is said in the log. Blocks.

    With `learned` false the shipped weights are left alone.
    """
    with as_file(files(__package__) / "weights" / SHIPPED) as path:
        shipped = _loaded(path) if learned else None
    mine = _loaded(own.expanduser()) if own is not None else None
    names = _names(mine, catalog) if mine is not None else {}
    if mine is not None and not names:
        _log.warning("The weights in %s are of no use; no model in them is in the catalog; train them again.", own)
    return Estimates(shipped, mine, names)


def _loaded(path: Path) -> "Model | None":
    from vel_tutor_mcp.routing import model_file, weights_file

    return weights_file.usable(model_file.load, path, "the hand-set priors stand in")


def _names(own: "Model", catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """The full names of each model of the weights that the catalog knows, as `model` or `provider/model`."""
    known: dict[str, list[str]] = {}
    for row in catalog.models:
        for spelling in (row.model, row.name):
            known.setdefault(spelling, []).append(row.name)
    return {name: tuple(known[name]) for name in own.names if name in known}
