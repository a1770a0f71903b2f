"""Claims 1 to 7: each function checks one on the small MDP with the package's own estimators."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from pgcontrol.charts.bars import Bar, bars
from pgcontrol.charts.chart import Entry, sheet
from pgcontrol.charts.lines import Axes, Line, lines
from pgcontrol.learning.advantages import gae, group_relative, returns, whole_return
from pgcontrol.text import short
from pgcontrol.theory import mdp as world

SAMPLES = 100_000  # sampled paths for a Monte Carlo claim: standard errors of 0.3 % of a standard deviation
BATCH = 1000  # paths in the batch whose mean squared error claim 6 shows
GROUPS = 25_000  # sampled groups of each size for claim 7


class Finding(NamedTuple):
    """A row of the table."""

    claim: str
    measured: str
    expected: str
    holds: bool


class Result(NamedTuple):
    """The result of a claim's check.

    Attributes:
        findings: rows of the table.
        plot: the text of an SVG file; None: there is no plot.
    """

    findings: list[Finding]
    plot: str | None = None


def plotted(title: str, drawn: Sequence[Line], axes: Axes, *marks: tuple[float, float, str]) -> str:
    """An SVG file with one chart of curves and their key."""
    key = [Entry(line.name, line.colour) for line in drawn]
    return sheet(title, [[lines(title, drawn, axes, marks=marks, entries=key)]])


def _stage() -> tuple[world.Mdp, Tensor, Tensor, world.Paths, Tensor]:
    """The small MDP and a policy θ, with exact values: ∇J, all paths and V."""
    mdp = world.small()
    theta = world.some_policy(mdp)
    return mdp, theta, world.exact_gradient(mdp, theta), world.every_path(mdp, theta), world.exact_value(mdp, theta)


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _within_errors(claim: str, estimates: Tensor, truth: Tensor) -> Finding:
    """Check that the mean of independent estimates [M, D] is the truth [D], by the component that is most off."""
    error = (estimates.std(0) / math.sqrt(len(estimates))).clamp_min(1e-12)
    off = float(((estimates.mean(0) - truth).abs() / error).max())
    return Finding(claim, f"off by {off:.1f} SE", "< 4 SE", off < 4)


def _exact(claim: str, *gaps: Tensor, limit: float = 1e-10) -> Finding:
    """Check that differences are 0 up to rounding."""
    most = max(float(gap.abs().max()) for gap in gaps)
    return Finding(claim, f"off by {most:.0e}", f"< {limit:.0e}", most < limit)


def log_derivative() -> Result:
    """∇E[f] = E[f ∇log π] (Williams 1992, eq. 6): the one-step estimator is unbiased.

    Components differ from the exact gradient by less than 4 standard errors (12 components: one false alarm in 1300).
    """
    mdp, theta, *_ = _stage()
    mdp = mdp._replace(horizon=1)
    paths = world.sample(mdp, theta, SAMPLES, _rng())
    one = world.estimates(theta, paths, mdp.reward[paths.state, paths.choice])
    claim = "1 log-derivative trick: r ∇log π is unbiased"
    return Result([_within_errors(claim, one, world.exact_gradient(mdp, theta))])


def dynamics_drop_out() -> Result:
    """∇log P(τ|θ) = Σ_t ∇log π(a_t|s_t) (Sutton & Barto 2018, section 13.2; Peters & Schaal 2008, eq. 7), exactly.

    Left: P(τ|θ) with its dynamics, differentiated. Right: scores only. For every possible path.
    """
    mdp, theta, _, paths, _ = _stage()
    left = torch.func.jacfwd(lambda t: world.every_path(mdp, t).weight.log())(theta).flatten(1)
    right = world.score(theta, paths.state, paths.choice).sum(0)
    return Result([_exact(f"2 dynamics drop out of ∇log P(τ|θ), all {len(left):,} paths", left - right)])


def causality() -> Result:
    """Naive PG and REINFORCE agree with ∇J (Williams 1992, theorem 1); past rewards only add variance.

    Unbiasedness: a sum over every path. Variance: paired on the same sampled paths, interval of the difference.
    """
    mdp, theta, truth, paths, _ = _stage()
    findings = []
    for name, advantage in (("naive PG", whole_return), ("REINFORCE", returns)):
        estimate = world.estimates(theta, paths, advantage(world.trajectories(mdp, paths)))
        findings.append(_exact(f"3 {name} is unbiased", world.mean(paths, estimate) - truth))
    drawn = world.sample(mdp, theta, SAMPLES, _rng())
    seen = world.trajectories(mdp, drawn)
    claim = "3 REINFORCE has less variance than naive PG"
    findings.append(_less_variance(claim, theta, drawn, returns(seen), whole_return(seen), truth))
    return Result(findings)


def _less_variance(claim: str, theta: Tensor, paths: world.Paths, less: Tensor, more: Tensor, truth: Tensor) -> Finding:
    """Check that advantages `less` [H, M] have less variance than `more`: 95 % interval of the paired difference."""
    small, large = (((world.estimates(theta, paths, a) - truth) ** 2).sum(-1) for a in (less, more))
    gap = large - small
    middle, half = float(gap.mean()), 1.96 * float(gap.std()) / math.sqrt(len(gap))
    measured = f"by {middle / float(large.mean()):.0%}: {middle:.3f} ± {half:.3f}"
    return Finding(claim, measured, "95 % interval above 0", middle - half > 0)


def baseline() -> Result:
    """E[b(s) ∇log π] = 0 for any b (Sutton & Barto 2018, eq. 13.10-13.11), exactly; V as baseline reduces variance."""
    mdp, theta, truth, paths, value = _stage()
    tables = (10 * torch.randn(value.shape, generator=_rng()).double(), value)
    expected = (world.mean(paths, world.estimates(theta, paths, world.along(b, paths))) for b in tables)
    findings = [_exact("4 a state baseline has expectation 0", *expected)]
    drawn = world.sample(mdp, theta, SAMPLES, _rng())
    go = returns(world.trajectories(mdp, drawn))
    claim = "4 V as the baseline reduces REINFORCE's variance"
    findings.append(_less_variance(claim, theta, drawn, go - world.along(value, drawn), go, truth))
    seen = world.trajectories(mdp, paths, value)
    rungs = {"G(τ)": whole_return(seen), "return-to-go": returns(seen)}
    rungs |= {"return-to-go − V": gae(seen, 1.0), "one-step TD, exact V": gae(seen, 0.0)}
    rows = []
    for name, advantage in rungs.items():
        variance = world.variance(paths, world.estimates(theta, paths, advantage))
        rows.append(Bar(f"{name}: {variance:.2f}", "c0", variance, 0.0, variance))
    title, axis = "Each has less variance than the one before", "total variance of one path's gradient estimate (exact)"
    return Result(findings, sheet(title, [[bars(title, rows, axis, (0.0, None))]]))


def racing() -> Result:
    """If all rewards are positive, the naive step raises all sampled choices, advantages only the better ones.

    First order: an update α ĝ(τ) changes log π(a|s) by α ∇log π(a|s)·ĝ(τ). Averaged over the updates in which (s, a)
    was sampled, over every path: for G(τ) > 0 (Williams 1992, eq. 11) and GAE(1) with true V (Schulman et al. 2016).
    """
    mdp, theta, _, paths, value = _stage()
    S, A = mdp.reward.shape
    seen = world.trajectories(mdp, paths, value)
    state, choice = torch.arange(S).repeat_interleave(A), torch.arange(A).repeat(S)
    visited = ((paths.state.unsqueeze(-1) == state) & (paths.choice.unsqueeze(-1) == choice)).any(0)  # [M, S·A]
    chance = paths.weight @ visited.double()
    change = {}
    for name, advantage in (("G(τ)", whole_return(seen)), ("advantage", gae(seen, 1.0))):
        moved = world.estimates(theta, paths, advantage) @ world.score(theta, state, choice).T
        change[name] = (paths.weight @ (moved * visited)) / chance
    naive, better = (int((moved > 0).sum()) for moved in change.values())
    every = S * A
    findings = [
        Finding("5 racing: naive PG raises every sampled choice", f"{naive} of {every}", "all", naive == every),
        Finding("5 ... advantages do not", f"{better} of {every}", "some fall", 0 < better < every),
    ]
    moves = torch.stack(list(change.values()))
    ends = (min(0.0, float(moves.min())), float(moves.max()))
    charts = []
    for k, (name, moved) in enumerate(change.items()):
        pairs = [
            Bar(f"s{i // A} a{i % A}", f"c{k}", by, min(by, 0.0), max(by, 0.0), says=short(by))
            for i, by in enumerate(moved.tolist())
        ]
        axis = f"E[Δ log π(a|s)] / α for a step with {name}"
        charts.append(bars(axis, pairs, axis, ends, 0.0))
    return Result(findings, sheet("All rewards positive: every sampled (s, a) gets more likely", [charts]))


def spectrum() -> Result:
    """GAE(λ) with a wrong critic trades bias for variance as λ goes from 0 to 1 (Schulman et al. 2016, section 3).

    The critic predicts half of the value. Bias and variance are exact sums over every path. λ = 0 is the TD error and
    λ = 1 is return − V (eq. 17, 18), up to rounding.
    """
    mdp, theta, truth, paths, value = _stage()
    seen = world.trajectories(mdp, paths, 0.5 * value)
    lams = np.arange(21) / 20
    estimates = [world.estimates(theta, paths, gae(seen, lam)) for lam in lams]
    bias = np.array([float(((world.mean(paths, each) - truth) ** 2).sum()) for each in estimates])
    spread = np.array([world.variance(paths, each) for each in estimates])
    error = bias + spread / BATCH
    best = lams[error.argmin()]
    delta = seen.reward + seen.discount * seen.next_value - seen.value
    at_ends = (gae(seen, 0.0) - delta, gae(seen, 1.0) - (returns(seen) - seen.value))
    down, up = bool((np.diff(bias) < 0).all()), bool((np.diff(spread) > 0).all())
    findings = [
        _exact("6 GAE(0) = TD error, GAE(1) = return − V", *at_ends, limit=1e-12),
        Finding("6 bias² falls with λ", f"{bias[0]:.4f} → {bias[-1]:.0e}", "monotone, to 0", down and bias[-1] < 1e-20),
        Finding("6 variance rises with λ", f"{spread[0]:.3f} → {spread[-1]:.3f}", "monotone", up),
        Finding(f"6 the error of {BATCH} paths is U-shaped", f"lowest at λ = {best}", "0 < λ < 1", bool(0 < best < 1)),
    ]
    drawn = [
        Line("mean squared error", "base", lams, error),
        Line("bias²", "c0 d1", lams, bias),
        Line(f"variance / {BATCH} paths", "c1 d2", lams, spread / BATCH),
    ]
    axes = Axes("λ of GAE", "of the gradient estimate", ends=(0.0, None))
    return Result(findings, plotted("A critic that predicts half of V", drawn, axes, (best, error.min(), "lowest")))


def groups() -> Result:
    """Group-relative advantages (Shao et al. 2024, section 4.1.2): how subtraction and division change the expectation.

    Subtracting the group's own mean, which contains every member, scales the gradient by exactly 1 − 1/G. Dividing by
    the group's own standard deviation changes the direction: the part of the estimate that is orthogonal to ∇J is
    significantly different from 0 (χ² with S·A components). Rewards are rare prizes here (r⁶): groups that contain
    none, one or several of them have very different standard deviations, which makes the bias large.
    """
    mdp, theta, *_ = _stage()
    mdp = mdp._replace(reward=mdp.reward**6)
    truth = world.exact_gradient(mdp, theta)
    cosines, sizes, findings = [], [2, 4, 8, 16], []
    for size in sizes:
        begin = mdp.start.expand(GROUPS, -1).multinomial(1, generator=_rng()).repeat_interleave(size)
        paths = world.sample(mdp, theta, GROUPS * size, _rng(size), begin)
        seen = world.trajectories(mdp, paths)
        total = returns(seen)[0].view(GROUPS, size)
        own = (total - total.mean(1, keepdim=True)).flatten().expand(mdp.horizon, -1)
        both = (own, group_relative(seen, size))
        # the groups are independent, their members are not
        centred, divided = (world.estimates(theta, paths, a).view(GROUPS, size, -1).mean(1) for a in both)
        average = divided.mean(0)
        cosines.append(float(average @ truth / average.norm() / truth.norm()))
        if size == 4:
            claim = "7 minus the group's mean (G = 4): (1 − 1/G) ∇J"
            findings.append(_within_errors(claim, centred, (1 - 1 / size) * truth))
            along = truth / truth.norm()
            across = divided - (divided @ along).unsqueeze(1) * along
            chi2, bound = _chi2(across), float(stats.chi2.isf(1e-6, len(truth) - 1))
            claim = "7 divided by the group's own std: not along ∇J"
            findings.append(Finding(claim, f"χ² {chi2:.0f}", f"> {bound:.0f}", chi2 > bound))
    drawn = [Line("divided by the group's own σ", "c0", np.array(sizes), np.array(cosines), look="both")]
    axes = Axes("G, members per group", "cosine between E[estimate] and ∇J", ends=(None, 1.0), log_x=True)
    return Result(findings, plotted("Division by the group's own standard deviation rotates the gradient", drawn, axes))


def _chi2(samples: Tensor) -> float:
    """Hotelling's statistic for the mean of independent rows [M, D] against 0, without directions of zero variance."""
    middle = samples.mean(0)
    return float(len(samples) * middle @ torch.linalg.pinv(torch.cov(samples.T), rtol=1e-8, hermitian=True) @ middle)


LADDER = (log_derivative, dynamics_drop_out, causality, baseline, racing, spectrum, groups)
CLAIMS = {claim.__name__: claim for claim in LADDER}  # claim 8 is in destruction.py
