"""Percentiles of latencies: within 1 % of the true ones, the same however the latencies were added up."""

import json
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.store.latencies import Latencies, add_json, as_json, bucket_of, percentile

TIMES = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=200)
SHARE = st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0])


@given(times=TIMES, share=SHARE)
def test_a_percentile_is_within_one_per_cent(times: list[int], share: float) -> None:
    found = percentile(Counter(map(bucket_of, times)), share)
    assert found == pytest.approx(sorted(times)[math.floor(share * (len(times) - 1))], rel=0.01)


@given(times=TIMES, others=TIMES)
def test_stored_counts_add_up_to_the_counts_of_all(times: list[int], others: list[int]) -> None:
    added = Latencies()
    add_json(added, ",".join(json.dumps(as_json(Counter(map(bucket_of, some)))) for some in (times, others)))
    assert added == Counter(map(bucket_of, times + others))


def test_of_nothing_there_is_no_percentile_and_of_no_time_it_is_nought() -> None:
    assert percentile({}, 0.5) is None
    assert percentile(Counter(map(bucket_of, [0, -3, 0])), 0.99) == 0
