"""Coloured noise: normal at every step, its spectrum's slope, apart between environments, the same after a resume."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pgcontrol.learning.collector import Collector
from pgcontrol.learning.noise import PERIOD, ColouredNoise, FromNormals, power_law
from pgcontrol.options import InputError
from pgcontrol.runs.load import make_policy
from tests.draws import DRAWS
from tests.heads.test_laws import CASES, FEATURES, make
from tests.learning.worlds import Clockwork, spec

BETAS = [0.5, 1.0, 2.0]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("beta", BETAS)
def test_every_number_is_standard_normal(beta):
    z = power_law(beta, 64, (20_000,), rng())
    for t in (0, 1, 40, 63):
        assert stats.kstest(z[t].numpy(), "norm").pvalue > 1e-4
    # joint normality, of what is added up: Var Σ z = Σ Cov, and each pair's covariance is that of its distance
    pairs = [float((z[t] * z[(t + 9) % 64]).mean()) for t in range(0, 64, 7)]
    assert np.ptp(pairs) < 9 / math.sqrt(20_000)  # a standard error each is at most √2 / √n


@pytest.mark.parametrize("beta", [0.0, *BETAS])
def test_the_spectrum_falls_as_f_to_the_minus_beta(beta):
    z = power_law(beta, PERIOD, (400,), rng())
    power = (torch.fft.rfft(z, dim=0).abs() ** 2).mean(1)
    slope, _ = np.polyfit(np.log(np.arange(1, 513)), power[1:].log().numpy(), 1)
    # the log of a mean of 400 exponentials deviates by 1/20, the slope over 512 frequencies by 1/20 / √512 / σ(log f)
    assert slope == pytest.approx(-beta, abs=0.012)
    assert float(power[0] / power[1]) == pytest.approx(1.0, abs=0.35)  # the mean: a square of one number, not of two


def test_environments_and_numbers_are_apart():
    z = power_law(1.0, 64, (2, 4_000), rng())
    for one, other in ((z[5, 0], z[5, 1]), (z[5, 0], z[6, 1]), (z[7, 0, 1:], z[7, 0, :-1])):
        assert abs(float((one * other).mean())) < 4.5 / math.sqrt(4_000)
    assert float((z[5, 0] * z[6, 0]).mean()) > 0.5  # within one sequence they are correlated


@pytest.mark.parametrize(("name", "options"), CASES)
def test_choices_at_one_time_are_distributed_as_the_heads_own(name, options):
    """4,000 environments, in the first step and a later one of one sequence; Kolmogorov-Smirnov, joint by joint."""
    head, n = make(name, **options), 4_000
    with FromNormals() as counted:
        head.noise(1, rng())
    z = power_law(1.0, 8, (n, counted.used), rng(1))
    params = head(torch.randn(1, FEATURES, generator=rng(2))).repeat_interleave(n, 0)
    own = head.decode(head.sample(params, rng(3)))[:, 0]
    for t in (0, 5):
        with FromNormals(z[t]):
            noise = head.noise(n, rng())
        assert noise.shape == head.noise(n, rng()).shape
        assert noise.dtype == torch.float32
        choice = head.draw(params, noise)
        assert choice.dtype == head.choice_spec.dtype
        for joint, drawn in enumerate(head.decode(choice)[:, 0].mT):
            assert stats.ks_2samp(drawn, own[:, joint]).pvalue > 1e-5  # pyright: ignore[reportAttributeAccessIssue]


@DRAWS
def test_draws_from_normal_numbers_have_their_distribution(draw, law):
    z = torch.randn(20_000, 1, generator=rng(5))
    z[:2] = torch.tensor([[8.0], [-8.0]])  # what no generator of float32 exceeds
    with FromNormals(z):
        drawn = draw(rng())
    assert drawn.isfinite().all()
    assert stats.kstest(drawn[:, 0].numpy(), law.cdf).pvalue > 1e-4
    order = torch.corrcoef(torch.stack((z[:, 0].argsort().argsort(), drawn[:, 0].argsort().argsort())).double())[0, 1]
    assert abs(float(order)) > 0.999  # a slow number is a slow draw


def collector(length: int, beta: float, head: str = "gaussian") -> Collector:
    env = Clockwork(3, period=5, terminates=True)
    return Collector(env, make_policy(spec(env, head), seed=0), length, 0.9, False, rng(), noise_beta=beta)


def z_of(c: Collector, rollouts: int) -> torch.Tensor:
    """The noise in a Gaussian's choices, [T, N, A]."""
    made = [c.collect()[0] for _ in range(rollouts)]
    return torch.cat([(r.choice - r.params[:, :, 0]) / r.params[:, :, 1].exp() for r in made])


def test_a_rollout_is_coloured_and_continues_in_the_next_however_it_is_split():
    white, short, long = z_of(collector(16, 0.0), 24), z_of(collector(16, 1.0), 24), z_of(collector(384, 1.0), 1)
    assert torch.allclose(short, long, atol=1e-5)
    together = (white[1:] * white[:-1]).mean(), (long[1:] * long[:-1]).mean()
    # of 384 x 6 numbers; neighbours in pink noise of 1024 choices are correlated by 0.77
    assert abs(float(together[0])) < 0.1
    assert float(together[1]) > 0.5


def test_the_seam_between_two_sequences_and_any_other_place_is_resumed_to_the_bit():
    for before in (48, PERIOD - 24, PERIOD, PERIOD + 48):
        straight = ColouredNoise(make("gaussian"), 0.5, 2, rng())
        taken = torch.cat([*straight.take(before), *straight.take(64)])[-64:]
        first = ColouredNoise(make("gaussian"), 0.5, 2, rng())
        assert sum(len(noise) for noise in first.take(before)) == before
        generator = rng(9)
        second = ColouredNoise(make("gaussian"), 0.5, 2, generator)
        generator.set_state(first.rng.get_state())
        second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
        assert torch.equal(torch.cat([*second.take(64)]), taken)


def test_after_a_restart_from_another_seed_the_noise_differs():
    """The branches of `diagnose` restart in this way."""
    made = []
    for seed in (1, 2):
        c = collector(16, 1.0)
        before = z_of(c, 1)
        c.rng.manual_seed(seed)
        c.restart()
        made.append((before, z_of(c, 1)))
    assert torch.equal(made[0][0], made[1][0])
    assert not torch.allclose(made[0][1], made[1][1], atol=0.5)


def test_a_draw_without_colour_is_one_line():
    head = make("gaussian")
    head.noise = lambda count, rng: torch.empty(count, 3).cauchy_(generator=rng)
    with pytest.raises(
        InputError, match=r"noise_beta: .* head 'gaussian' cannot be coloured: cauchy_ cannot be computed"
    ):
        ColouredNoise(head, 1.0, 2, rng())
