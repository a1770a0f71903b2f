"""How evenly episodes use a task's routes."""

import math

import numpy as np


def route_entropy(route: np.ndarray, routes: int) -> float:
    """How evenly successful episodes use the routes: 1: all equally often, 0: always the same one.

    H = −Σ_r p(r) log_R p(r), where p are the frequencies of the routes among the successes and R is the number of
    routes (D3IL's behaviour entropy: Jia et al. 2024, arXiv 2402.14606, section 3).

    Args:
        route: the result of Task.route() at the end of each episode, int [E]; −1 (no success) is not counted.
        routes: R = len(task.routes).

    Returns:
        H in [0, 1]; 0 if R is 1; nan without a success.
    """
    taken = np.bincount(route[route >= 0], minlength=routes)
    if not taken.sum():
        return math.nan
    return float(_entropy(taken[taken > 0], routes))


def occupancy(route: np.ndarray, routes: int, resamples: int = 2000) -> tuple[float, float, float]:
    """An estimate of the policy's `route_entropy` for infinitely many episodes, with its 95 % interval.

    The entropy of few episodes is too low: 24 equally frequent routes score 0.96 in 100 episodes. Therefore Miller and
    Madow's (1955) correction (m − 1) / 2E is added, for m observed routes in E successes.

    Args:
        route: the route of each episode, int [E]; −1 for none.
        routes: R, the number of routes.
        resamples: number of bootstrap resamples of the episodes, with a fixed seed.

    Returns:
        (estimate, low, high); nan if no episode succeeded.
    """
    taken = np.bincount(route[route >= 0], minlength=routes)
    total = int(taken.sum())
    if routes == 1 or not total:
        same = route_entropy(route, routes)
        return same, same, same
    # the rule of succession gives unobserved routes some probability; otherwise the interval could be a single point
    prior = (taken + 1 / routes) / (total + 1)
    again = np.random.default_rng(0).multinomial(total, prior, size=resamples)
    estimate = float(_corrected(taken, routes))
    low, high = np.quantile(_corrected(again, routes), [0.025, 0.975])
    return estimate, min(float(low), estimate), max(float(high), estimate)


def _entropy(taken: np.ndarray, routes: int) -> np.ndarray:
    """Counts [..., R] -> entropies [...] in units of log R; 0 if R is 1."""
    if routes == 1:
        return np.zeros(taken.shape[:-1])
    share = taken / taken.sum(-1, keepdims=True)
    return -(share * np.log(np.where(taken > 0, share, 1.0))).sum(-1) / np.log(routes) + 0.0


def _corrected(taken: np.ndarray, routes: int) -> np.ndarray:
    """Counts [..., R] -> entropies [...] with Miller and Madow's correction, at most 1."""
    more = ((taken > 0).sum(-1) - 1) / (2 * taken.sum(-1))
    return np.minimum(_entropy(taken, routes) + more / math.log(routes), 1.0)
