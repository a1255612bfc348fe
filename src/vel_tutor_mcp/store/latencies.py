"""Latencies as counts in logarithmic buckets, which can be added up and still tell every percentile (pure).

The sketch is DDSketch (Masson, Rim, Lee: DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
Guarantees, VLDB 2019): bucket i holds what is above g^(i-1) and at most g^i, where g = (1 + a) / (1 - a). It stands for
2 g^i / (g + 1), which is at most the share a away from anything in it. With a = 0.005 a percentile is within 0.5 % of
the true one, and within 1 % once it is a whole number of milliseconds.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping

_ACCURACY = 0.005
_BASE = (1 + _ACCURACY) / (1 - _ACCURACY)
_LOG_BASE = math.log(_BASE)
# What took no millisecond has no logarithm.
_NO_TIME = -1

Latencies = Counter[int]


def bucket_of(milliseconds: int) -> int:
    return _NO_TIME if milliseconds <= 0 else math.ceil(math.log(milliseconds) / _LOG_BASE)


def percentile(latencies: Mapping[int, int], share: float) -> int | None:
    """The latency in milliseconds than which so large a share (0-1) is no longer; None where there is none.

    Of n latencies in order it stands for the one at place floor(share * (n - 1)), counted from 0.
    """
    total = sum(latencies.values())
    place = math.floor(share * (total - 1))
    passed = 0
    for bucket in sorted(latencies):
        passed += latencies[bucket]
        if passed > place:
            return 0 if bucket == _NO_TIME else round(2 * _BASE**bucket / (_BASE + 1))
    return None


def as_json(latencies: Mapping[int, int]) -> dict[str, int]:
    return {str(bucket): count for bucket, count in sorted(latencies.items())}


def add_json(latencies: Latencies, stored: str) -> None:
    """Add what `as_json` made: the texts of many, with commas between them."""
    added: dict[str, int] = {}
    for one in json.loads(f"[{stored}]"):
        for bucket, count in one.items():
            added[bucket] = added.get(bucket, 0) + count
    for bucket, count in added.items():
        latencies[int(bucket)] += count
