"""Whose prompt cache is warm: which beginnings of prompts each model read lately. In memory; no clock is read.

A provider that caches reads a beginning that it has just read at a lower price, so that the same model may be the
cheaper one for the next task of the same agent. Beginnings are compared by hashes, in blocks.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from vel_tutor_mcp.providers.base import ChatRequest
from vel_tutor_mcp.routing.ledger import BYTES_PER_TOKEN

# OpenAI caches beginnings of 1,024 tokens and more, for five to ten minutes after they were read last.
LEAST_TOKENS = 1024
SECONDS = 300.0
_BLOCK_TOKENS = 512
_MOST_BEGINNINGS = 20_000


def beginnings(system: str, prompt: str) -> list[tuple[int, bytes]]:
    """The tokens and the hash of each beginning of what is sent that could be in a cache, the shortest first."""
    # A NUL is in neither: else what moved from the end of the one to the beginning of the other would look the same.
    text = b"\0".join((system.encode(errors="replace"), prompt.encode(errors="replace")))
    block, hashed = _BLOCK_TOKENS * BYTES_PER_TOKEN, blake2b(digest_size=16)
    found = []
    for end in range(block, len(text) + 1, block):
        hashed.update(text[end - block : end])
        found.append((end // BYTES_PER_TOKEN, hashed.digest()))
    return [(tokens, digest) for tokens, digest in found if tokens >= LEAST_TOKENS]


class Warmth:
    """What all models of this process have read lately."""

    def __init__(self) -> None:
        self._read: OrderedDict[bytes, dict[str, float]] = OrderedDict()

    def sent(self, model: str, request: ChatRequest, now: float) -> None:
        """The model, by its full name, has answered this."""
        for _, digest in beginnings(request.system, request.prompt):
            self._read.setdefault(digest, {})[model] = now
            self._read.move_to_end(digest)
        while len(self._read) > _MOST_BEGINNINGS:
            self._read.popitem(last=False)

    def cached(self, sent: Sequence[tuple[int, bytes]], now: float) -> dict[str, int]:
        """How many tokens of the prompt with these beginnings were read lately, by each model that did."""
        found: dict[str, int] = {}
        # The shortest stand first, so that the longest beginning that is warm is what counts.
        for tokens, digest in sent:
            for model, at in self._read.get(digest, {}).items():
                if abs(now - at) < SECONDS:
                    found[model] = tokens
        return found
