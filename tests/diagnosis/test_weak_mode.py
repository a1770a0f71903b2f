"""Why samples beat a mode: planted causes, and a policy played in every way."""

import numpy as np
import pytest

from pgcontrol.diagnosis.weak_mode import MEAN, MODE, REPLANNED, SAMPLES, Playing, judged, play
from tests.diagnosis.planted import clone

NOISE = np.linspace(-1, 1, 20)


def playing(mode, samples, mean, several=0.0, clipped=(0.0, 0.0), **more):
    returns = {MODE: mode + NOISE, SAMPLES: samples + NOISE, MEAN: mean + NOISE}
    return Playing(returns | {name: value + NOISE for name, value in more.items()}, several, clipped)


@pytest.mark.parametrize(
    ("found", "word", "why"),
    [
        (playing(10, 90, 80, several=0.9), "weak mode", "one of several in"),
        (playing(10, 90, 80, clipped=(0.9, 0.3)), "weak mode", "the mode is clipped"),
        (playing(10, 90, 80), "weak mode", "its mode is not its mean"),
        (playing(10, 90, 80, clipped=(0.31, 0.3)), "weak mode", "its mode is not its mean"),
        (playing(10, 90, 20), "weak mode", "needs its noise"),
        (playing(10, 90, 20, **{REPLANNED: 85}), "weak mode", "chunks are too long"),
        (playing(90, 90.1, 90), "healthy", "within the noise"),
        (playing(90, 10, 90), "healthy", "within the noise"),
    ],
)
def test_the_way_that_wins_it_back_is_the_cause(found, word, why):
    verdict = judged(found)
    assert verdict.word == word
    assert why in verdict.why


def test_the_mode_of_a_policy_that_averages_needs_its_noise():
    """Two ways around a wall, averaged by a Gaussian: the mode hits the wall, some samples pass it."""
    found = play(clone("Fork-v0", "gaussian"), "Fork-v0", seed=0, count=40)
    assert set(found.returns) == {MODE, SAMPLES, MEAN}
    assert all(returns.shape == (40,) for returns in found.returns.values())
    assert found.several < 0.1
    assert "needs its noise" in judged(found).why


def test_a_chunk_is_also_played_one_action_at_a_time():
    found = play(chunked(), "InvertedPendulum-v5", seed=0, count=3)
    assert set(found.returns) == {MODE, SAMPLES, MEAN, REPLANNED}


def chunked():
    from pgcontrol.runs.load import make_env, make_policy
    from tests.diagnosis.planted import policy_of

    env = make_env("InvertedPendulum-v5", 1, 0)
    return make_policy(policy_of(env, "token", {"tokenizer": "bins", "codes": 5, "horizon": 3}), 0)
