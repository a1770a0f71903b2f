"""The verdict on a natural collapse, from its log and what other seeds reached.

The logs in hopper_npg/ are those of `pgcontrol train Hopper-v5 --algorithm npg --seed SEED --threads 1
--checkpoint-every 50000 --eval-every 100000` on an AMD EPYC at revision 19bbcc7; of each, a hundred rows are kept.
docs/diagnosis.md describes the run with seed 216.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from pgcontrol.measures.curves import RETURN, column, smooth
from pgcontrol.measures.judge import Known, judge
from pgcontrol.measures.returns import Reach

LOGS = Path(__file__).parent / "hopper_npg"
SEEDS = (201, 202, 216)


def rows_of(seed: int) -> list[dict]:
    return [json.loads(line) for line in (LOGS / f"seed_{seed}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("seed", "word"), [(201, "healthy"), (202, "healthy"), (216, "suspected")])
def test_the_run_that_lost_its_spread_before_it_hopped_is_suspected(seed, word):
    ends = [smooth(column(rows_of(other), RETURN)[1])[-1] for other in SEEDS if other != seed]
    reach = Reach(float(np.median(ends)), "the median of 2 runs with other seeds")
    spread = judge(rows_of(seed), 1_000_000, "finished", known=Known(reach=reach))[0]
    assert spread.word == word


def test_without_other_runs_its_log_shows_nothing():
    assert judge(rows_of(216), 1_000_000, "finished")[0].word == "healthy"
