"""Running moments: the largest effect of a batch, and independence of units."""

import math
import re

import pytest
import torch
from pgcontrol_envs.tasks.inverted_pendulum import InvertedPendulum

from pgcontrol.moments import Normaliser, RewardScale
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner

T, N = 128, 16
SMALL = {"num_envs": 8, "rollout_steps": 64, "total_steps": 8 * 64 * 6, "algorithm.epochs": 2, "eval_every": 0}


def batches(count, scale=1.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(T * N, 3, generator=rng, dtype=torch.float64) + 5 * scale for _ in range(count)]


@pytest.mark.parametrize("outlier", [1e8, -1e8, 1e200])
@pytest.mark.parametrize("first", [0, 1, 20])
def test_one_outlier_does_not_blind_an_input(outlier, first):
    """Once the moments have seen fifty more batches, the input is within a factor of two of what it would be."""
    normaliser, plain = Normaliser(3), Normaliser(3)
    for i, batch in enumerate(batches(first + 51)):
        plain.update(batch)
        if i == first:
            batch = batch.clone()
            batch[77, 1] = outlier
        assert normaliser.update(batch).tolist() == [False, i == first, False]
    assert torch.equal(normaliser.scale[[0, 2]], plain.scale[[0, 2]])
    assert 0.5 < float(normaliser.scale[1] / plain.scale[1]) <= 1
    assert abs(float(normaliser.mean[1] - 5)) < 0.5


@pytest.mark.parametrize("first", [0, 1, 20])
def test_one_outlier_does_not_flatten_rewards(first):
    rng = torch.Generator().manual_seed(0)
    scale, plain = RewardScale(N, True), RewardScale(N, True)
    discount, done = torch.full((T, N), 0.99, dtype=torch.float64), torch.zeros(T, N, dtype=torch.bool)
    for i in range(first + 51):
        reward = 1 + torch.randn(T, N, generator=rng, dtype=torch.float64)
        plain(reward, discount, done)
        if i == first:
            reward[3, 5] = 1e6
        scaled = scale(reward, discount, done)
        assert scale.outlier == ((5, 1e6) if i == first else None)
        assert scaled.abs().max() <= 10
    # the first batch's own deviation is three times that of later ones: sums of rewards only begin to grow
    assert 1 <= scale.divisor / plain.divisor < (5 if first < 2 else 2.5)


def test_a_lasting_change_of_scale_passes_in_a_few_batches():
    """From 1 to 1e6: as fast as moments without a bound, but for the first few batches."""
    normaliser = Normaliser(3)
    for batch in [*batches(10), *batches(20, 1e6)]:
        normaliser.update(batch)
    plain = torch.cat([*batches(10), *batches(20, 1e6)])
    assert torch.allclose(normaliser.var.sqrt(), plain.std(0), rtol=0.5)


def test_what_varies_rarely_counts_as_it_is():
    """A contact in one of two thousand samples is no outlier, because nothing else is known about its scale."""
    normaliser, batch = Normaliser(1), torch.zeros(T * N, 1, dtype=torch.float64)
    batch[9] = 3.0
    assert not normaliser.update(batch).any()
    assert float(normaliser.var) == pytest.approx(9 / (T * N), rel=0.01)


@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1.0, 1e6])
def test_units_do_not_matter(scale):
    normaliser, reference = Normaliser(3), Normaliser(3)
    for a, b in zip(batches(3, scale), batches(3), strict=True):
        normaliser.update(a)
        reference.update(b)
    assert torch.allclose(normaliser(batches(1, scale)[0]), reference(batches(1)[0]), atol=1e-4)


def test_what_never_varied_stays_finite():
    normaliser = Normaliser(2)
    normaliser.update(torch.full((50, 2), 0.1, dtype=torch.float64))
    assert normaliser(torch.tensor([[0.1, 0.3]])).isfinite().all()


class Small(InvertedPendulum):
    """The pendulum in other units."""

    id = "SmallPendulum-v0"

    def observe(self):
        return 1e-6 * super().observe()

    def reward(self, action, before, terminated):
        total, terms = super().reward(action, before, terminated)
        return 1e-9 * total, {name: 1e-9 * term for name, term in terms.items()}


def test_a_task_in_other_units_is_learned_alike():
    """Not to the bit: in the first rollout nothing is known of the scale yet."""
    settings = SMALL | {"threads": 1, "algorithm.learning_rate": 1e-3, "total_steps": 30 * 512}
    learners = [Learner(configure(settings | {"env": env})) for env in (InvertedPendulum, Small)]
    returns = [[learner.update()["rollout/ep_rew_mean"] for _ in range(30)] for learner in learners]
    assert [run[-1] > 4 * run[0] for run in returns] == [True, True]
    assert returns[1][-1] == pytest.approx(1e-9 * returns[0][-1], rel=0.5)


def disturbed(monkeypatch, calls: tuple[int, ...], reward: float | None = None) -> Learner:
    """A learner with outliers in environment 3 at these calls of `step`: in an input, and in the reward if given."""
    learner = Learner(configure(SMALL | {"env": "InvertedPendulum-v5", "threads": 1}))
    step, made = learner.env.step, []

    def strange(action, active=None):
        made.append(step(action, active))
        if len(made) in calls:
            made[-1].obs[3, 2] = 1e8
            if reward is not None:
                made[-1].reward[3] = reward
        return made[-1]

    monkeypatch.setattr(learner.env, "step", strange)
    return learner


def test_an_outlier_is_logged_and_named_once(monkeypatch):
    learner = disturbed(monkeypatch, (70, 140), reward=1e6)
    rows = [learner.update() for _ in range(4)]
    assert [row["rollout/outliers"] for row in rows][:3] == [0, 2, 2]
    obs, reward = learner.remarks
    assert re.match(r"step 512: input 2 of the observation was 1e\+08 in environment 3; the running moments", obs)
    assert "a reward was 1e+06 in environment 3" in reward
    assert math.isfinite(float(learner.policy.normaliser.var.sum()))


def test_the_first_update_remarks_on_no_outlier(monkeypatch):
    """An input that hardly varies in a first rollout is bounded, and nothing is wrong."""
    learner = disturbed(monkeypatch, (10, 140))
    remarks = []
    for _ in range(3):
        assert learner.update()["rollout/outliers"] in (0, 1)
        remarks.append(len(learner.remarks))
    assert remarks == [0, 0, 1]
