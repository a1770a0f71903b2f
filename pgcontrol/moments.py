"""Running moments, and the normalisation of observations and rewards."""

import torch
from torch import Tensor, nn

CLIP = 10.0  # standard deviations: bound of normalised observations and scaled rewards


def merge_moments(mean: Tensor, var: Tensor, count: Tensor, batch: Tensor) -> Tensor:
    """Merge a batch [B, ...] into a running mean and variance [...], in place (Chan, Golub & LeVeque 1979, eq. 1.5).

    The influence of a batch is bounded: its root mean square distance from the running mean counts for at most CLIP
    running standard deviations; a batch that is further away is scaled down to that, as winsorising does with samples
    (Tukey 1962, "The future of data analysis"). So one outlier cannot make an input useless for the rest of a run, but
    a lasting change of scale is learned in a few batches, each of which may raise the variance by a factor of up to
    1 + CLIP² B / count. For the first batch, its median and median absolute deviation are used (Hampel 1974). If most
    of it is equal, or if nothing has varied yet, a batch counts without a bound.

    Returns:
        bool [...]: where the batch was bounded.
    """
    var_b, mean_b = torch.var_mean(batch, dim=0, correction=0)
    centre, square = mean, var
    if count == 0:
        centre = batch.median(0).values
        square = (batch - centre).abs().median(0).values ** 2
    shift, most = mean_b - centre, CLIP**2 * square
    apart = var_b + shift**2
    bounded = (most > 0) & ~(apart <= most)  # an overflow is NaN
    if bounded.any():
        share = torch.where(bounded, most / apart, 1.0)
        var_b = torch.where(apart.isfinite(), var_b * share, most)
        mean_b = torch.where(apart.isfinite(), centre + shift * share.sqrt(), centre)
    total, shift = count + len(batch), mean_b - mean
    var.copy_((var * count + var_b * len(batch) + shift**2 * count * len(batch) / total) / total)
    mean.add_(shift * (len(batch) / total))
    count.copy_(total)
    return bounded


def tiny(var: Tensor) -> Tensor:
    """A small number that is added to variances before division: 1e-8, or a millionth of `var` if that is smaller.

    So the result does not depend on units, and inputs that vary far less than others stay small. For variance 0 it is
    1e-8.
    """
    return 1e-8 * torch.where(var > 0, (100 * var).clamp_max(1.0), 1.0)


class Normaliser(nn.Module):
    """Running mean and variance of observations, part of the policy and of every checkpoint.

    The moments change only in `update`, which training calls between updates; in evaluation and export they are fixed.
    They are kept in float64 and merged batch by batch; see `merge_moments`.
    """

    def __init__(self, size: int, mirror: tuple[Tensor, Tensor] | None = None):
        """`mirror`: order and signs of the first columns; their moments are then those of both sides together."""
        super().__init__()
        self.mirror = mirror
        self.mean = nn.Buffer(torch.zeros(size, dtype=torch.float64))
        self.var = nn.Buffer(torch.ones(size, dtype=torch.float64))
        self.count = nn.Buffer(torch.zeros((), dtype=torch.float64))
        # 1/sqrt(var), cached because every environment step needs it
        self.scale = nn.Buffer(torch.ones(size, dtype=torch.float64))

    def forward(self, obs: Tensor) -> Tensor:
        """[..., O] of any float type -> float32 [..., O], centred, scaled, clipped to ±CLIP.

        If the sizes differ, only the first columns are used: the critic's additional observation comes after them.
        """
        mean, scale = self.mean, self.scale
        if obs.shape[-1] != len(mean):
            width = min(obs.shape[-1], len(mean))
            obs, mean, scale = obs[..., :width], mean[:width], scale[:width]
        return ((obs - mean) * scale).clamp_(-CLIP, CLIP).float()

    @torch.no_grad()
    def update(self, obs: Tensor, first: int = 0) -> Tensor:
        """Update the moments of the columns from `first` on with observations [B, O]; the other columns keep theirs.

        Returns:
            bool [O]: where the batch was bounded, see `merge_moments`.
        """
        bounded = torch.zeros(len(self.mean), dtype=torch.bool)
        if first == len(self.mean):
            return bounded
        bounded[first:] = merge_moments(self.mean[first:], self.var[first:], self.count, obs[:, first:].double())
        if self.mirror is not None and not first:
            order, sign = self.mirror
            mean, var = self.mean[: len(order)], self.var[: len(order)]  # views
            image, spread = mean[order] * sign, var[order]
            var.copy_(0.5 * (var + spread) + 0.25 * (mean - image) ** 2)
            mean.copy_(0.5 * (mean + image))
        torch.rsqrt(self.var[first:] + tiny(self.var.amax()), out=self.scale[first:])
        return bounded


class RewardScale(nn.Module):
    """Divides rewards by the standard deviation of the running discounted return, so one step size fits every task.

    (Engstrom et al. 2020, "Implementation matters in deep policy gradients", section 2; each environment has its own
    discounted sum of past rewards, which restarts with its episode.)
    """

    def __init__(self, num_envs: int, enabled: bool):
        super().__init__()
        self.enabled = enabled
        self.carry = nn.Buffer(torch.zeros(num_envs, dtype=torch.float64))
        self.divisor = 1.0  # divisor of the last rewards
        self.outlier: tuple[int, float] | None = None  # environment and reward, if `merge_moments` bounded a batch
        self.mean, self.var, self.count = (nn.Buffer(torch.tensor(x, dtype=torch.float64)) for x in (0.0, 1.0, 0.0))

    def continue_from(self, other: "RewardScale") -> None:
        """Take over the moments of another scale; the discounted sums of the environments stay."""
        for name in ("mean", "var", "count"):
            getattr(self, name).copy_(getattr(other, name))

    def forward(self, reward: Tensor, discount: Tensor, done: Tensor, played: Tensor | None = None) -> Tensor:
        """Raw rewards [T, N] -> scaled float32 [T, N]; updates the moments first, from the rows `played` [T, N]."""
        if not self.enabled:
            return reward.float()
        returns, carry = torch.empty_like(reward), self.carry
        for t in range(len(reward)):
            torch.addcmul(reward[t], carry, discount[t], out=returns[t])
            carry = returns[t].masked_fill(done[t], 0.0)
        self.carry.copy_(carry)
        self.outlier = None
        if merge_moments(self.mean, self.var, self.count, returns.flatten() if played is None else returns[played]):
            t, env = divmod(int(reward.abs().argmax()), reward.shape[1])
            self.outlier = env, float(reward[t, env])
            most = CLIP * self.var.sqrt()  # otherwise the sum would carry the outlier into later batches
            self.carry.clamp_(self.mean - most, self.mean + most)
        self.divisor = float((self.var + tiny(self.var)).sqrt())
        return (reward / self.divisor).clamp_(-CLIP, CLIP).float()
