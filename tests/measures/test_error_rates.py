"""Error rates of verdicts: numbers, intervals, the file, and what reports say of them."""

import re

import pytest

from pgcontrol.measures import error_rates
from pgcontrol.measures.error_rates import Rates
from pgcontrol.measures.statistics import share_interval
from pgcontrol.measures.verdicts import COLLAPSED, HEALTHY, MEANINGS, SUSPECTED

JUDGED = [(True, True)] * 3 + [(True, False)] + [(False, True)] * 2 + [(False, False)] * 7


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.setattr(error_rates, "FILE", tmp_path / "error_rates.json")
    return error_rates.write


def test_precision_and_recall_with_wilsons_interval():
    rates = Rates.of(JUDGED)
    assert rates == Rates(said=4, true=5, both=3)
    precision, recall = share_interval([1, 1, 1, 0]), share_interval([1, 1, 1, 0, 0])
    assert rates.precision == f"0.75 ({precision.low:.2f} … {precision.high:.2f}; 3 of 4)"
    assert rates.recall == f"0.60 ({recall.low:.2f} … {recall.high:.2f}; 3 of 5)"


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("true", [True, False])
def test_a_rate_of_nothing_is_not_a_number(said, true):
    rates = Rates.of([(said, true)])
    assert ("0 of 0" in rates.precision) == (not said)
    assert ("0 of 0" in rates.recall) == (not true)


def test_reports_say_only_what_is_known_of_the_verdicts_that_they_list(stored):
    stored({"a Gaussian head": {SUSPECTED: Rates.of(JUDGED), COLLAPSED: Rates(0, 0, 0)}})
    assert error_rates.measured()["a Gaussian head"][SUSPECTED] == Rates.of(JUDGED)
    known = error_rates.sentences([SUSPECTED, COLLAPSED, HEALTHY])
    assert re.findall("“(.+?)”", known) == [SUSPECTED]
    right, found = share_interval([1, 1, 1, 0]), share_interval([1, 1, 1, 0, 0])
    assert f"was right in 3 of 4 runs ({100 * right.low:.0f} to {100 * right.high:.0f} %)" in known
    assert f"found 3 of 5 runs whose spread cost them something ({100 * found.low:.0f} to " in known
    assert error_rates.sentences([HEALTHY]) == ""


def test_the_packages_rates_are_of_verdicts_and_count_runs_once():
    for words in error_rates.measured().values():
        assert words.keys() <= MEANINGS.keys()
        for rates in words.values():
            assert 0 <= rates.both <= min(rates.said, rates.true)
