"""Measures of how healthy an update is: pure functions of its data and its effect."""

from collections.abc import Callable

import torch
from torch import Tensor


def sensitivity(log_prob: Callable[[Tensor], Tensor], params: Tensor, joints: int) -> Tensor:
    """How much the log-probability of a policy's own choices changes with its params, per joint: a scalar.

    √(E‖∇_params log π(choice | params)‖² / A), the root of the Fisher matrix's trace per joint. It is defined for every
    head, for the network's outputs: a step δ of them costs KL ≈ ½ δᵀFδ, so the KL grows with its square. For a Gaussian
    ∇_μ log π = (choice − μ) / σ², and the measure is √(1/σ² + 2), which grows without bound as σ falls (this is why one
    step can destroy a narrow policy: Kakade 2002, section 3). For logits it is at most √2, and falls as they sharpen.

    Args:
        log_prob: params [B, ...] -> log-probabilities [B] of choices drawn from these params.
        params: [B, ...].
        joints: A.
    """
    leaf = params.detach().requires_grad_()
    with torch.enable_grad():
        (score,) = torch.autograd.grad(log_prob(leaf).sum(), leaf)
    return (score.flatten(1).square().sum(1).mean() / joints).sqrt()


def noise_scale(gradients: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The gradient noise scale tr(Σ) / |G|², in samples, from gradients of parts of one batch.

    A much smaller minibatch is mostly noise, a much larger one learns no faster (McCandlish et al. 2018,
    arXiv 1812.06162, eq. 2.8 and appendix A.1). The two unbiased estimates are returned separately: each is noisy, so
    sum each over several updates before dividing.

    Args:
        gradients: [n, P], each the mean gradient over `size` samples.
        size: samples in each part.

    Returns:
        (tr(Σ), |G|²); the second can be negative by chance.
    """
    small, count = gradients.square().sum(1).mean(), len(gradients)
    large = gradients.mean(0).square().sum()
    whole = count * size
    return (small - large) / (1 / size - 1 / whole), (whole * large - size * small) / (whole - size)


def ratios(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest π_after / π_before of the sampled choices, from their log-probabilities [B]."""
    change = after - before
    return change.min().exp(), change.max().exp()


def skew(advantage: Tensor) -> Tensor:
    """Third standardised moment of advantages [B]; 0 if all are equal.

    If it is far from 0, a few samples dominate the update.
    """
    centred = advantage - advantage.mean()
    scale = centred.square().mean().sqrt()
    return torch.where(scale > 0, (centred / scale.clamp_min(1e-30)).pow(3).mean(), 0.0)


def pull(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """Correlation of advantages [B] with the surprise of the choices, −log π [B]; 0 if either is constant.

    Below 0 the policy gradient narrows the policy, above 0 it widens it. For a Gaussian −log π is, up to a constant,
    half the sum over joints of ∂ log π / ∂ log σ, so this is the sign and the weight of the gradient on log σ. In
    general the entropy changes in proportion to Cov(log π, A), with the opposite sign (Cui et al. 2025, arXiv
    2505.22617, theorem 1). Its standard error is about 1/√B.
    """
    surprise, gain = (x.double() - x.double().mean() for x in (-log_prob, advantage))
    scale = (surprise.square().sum() * gain.square().sum()).sqrt()
    return torch.where(scale > 0, (surprise * gain).sum() / scale.clamp_min(1e-300), 0.0)
