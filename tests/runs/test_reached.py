"""The table of what runs reached is that of the committed rows."""

import json
import statistics
from collections import defaultdict
from pathlib import Path

import pytest

from pgcontrol.runs.reached import TABLE, reach

ROWS = Path(__file__).parents[2] / "experiments" / "benchmark.jsonl"


def test_the_table_is_that_of_the_benchmark():
    found = defaultdict(list)
    for line in ROWS.read_text().splitlines():
        row = json.loads(line)
        found[row["env"], row["arm"]].append(row["training"])
    assert {(env, kept.head) for env, kept in TABLE.items()} <= set(found)
    for env, kept in TABLE.items():
        values = found[env, kept.head]
        assert kept.seeds == len(values)
        assert kept.value == pytest.approx(statistics.median(values), rel=5e-3)


def test_a_shorter_run_is_compared_with_nothing():
    assert reach("Hopper-v5", 500_000) is None
    assert reach("nowhere", 2_000_000) is None
    assert (found := reach("Hopper-v5", 1_000_000)) is not None
    assert found.value == TABLE["Hopper-v5"].value
