"""The metrics `health/*` of a training. They take at most a few percent of its time."""

import numpy as np
import torch
from torch import Generator, Tensor

from pgcontrol.learning.rollout import Rollout
from pgcontrol.measures import health, modes, spread
from pgcontrol.policy import Policy

LOOKS = 40  # measurements per run, at most every third update: 5 % of the budget contain two of them
# probe states of each kind, and actions drawn in each: the error of a joint's spread is ± 2 %
STATES, DRAWS = 16, 64
DONE = 2048  # number of the rollout's choices for the metrics of executed actions
MODE_STATES, MODE_DRAWS = 4, 256  # for the modes, which need more draws, so that a mode with 5 % of the mass is found
PARTS, PART = 4, 128  # number of gradients for the noise scale, and samples per gradient


class HealthWatch:
    """Measures a policy after some of its updates; docs/diagnosis.md explains the metrics.

    The spread is measured at fixed states from the first rollout, so that it can be compared over time, and at states
    of the current rollout, because a policy can be narrow where it goes and wide where it no longer goes. The random
    stream is separate from those of the training, and starts from the same seed in each measurement. So differences
    between measurements come from the policy, not from the noise.
    """

    def __init__(self, policy: Policy, updates: int, seed: int):
        """`updates`: number of updates in the run, for the schedule."""
        self.policy, self.seed = policy, seed
        self.every = max(3, -(-updates // LOOKS))
        # [STATES, O] raw observations, float64: of the first rollout, and of the last one
        self.probes: Tensor | None = None
        self.visited: Tensor | None = None

    def __call__(self, update: int, rollout: Rollout, advantage: Tensor, last: bool = False) -> dict[str, float]:
        """The metrics if update number `update` is to be measured; otherwise only `health/pull`.

        Args:
            update: number of updates before.
            rollout: T x N choices of the update.
            advantage: [T, N].
            last: whether it is the run's last update, which is always measured.
        """
        obs = rollout.raw_obs[~rollout.idle]
        self.visited = visited = obs[_evenly(len(obs), STATES)]
        if self.probes is None:
            self.probes = visited
        rows = ~rollout.masked.flatten()
        pull = {"health/pull": float(health.pull(rollout.log_prob.flatten()[rows], advantage.flatten()[rows]))}
        if update % self.every and not last:
            return pull
        rng = torch.Generator(obs.device).manual_seed(self.seed)
        measured = self._spread(self.probes, visited, rng) | self._modes(visited[:: STATES // MODE_STATES], rng)
        measured |= self._done(rollout) | self._of_update(rollout, advantage)
        return pull | {f"health/{name}": float(value) for name, value in measured.items()}

    @torch.no_grad()
    def _spread(self, probes: Tensor, visited: Tensor, rng: Generator) -> dict[str, Tensor]:
        head = self.policy.head
        params = self.policy.params(self.policy.normaliser(torch.cat((probes, visited))))
        repeated = params.repeat_interleave(DRAWS, 0)
        choice = head.sample(repeated, rng)
        units = spread.unit(head.decode(choice)[:, 0], head.low, head.high)
        units = units.unflatten(0, (len(params), DRAWS)).transpose(0, 1)
        fixed, now = spread.spread(units[:, : len(probes)]), spread.spread(units[:, len(probes) :])
        row = {"sensitivity": health.sensitivity(lambda p: head.log_prob(p, choice[::8]), repeated[::8], head.joints)}
        for name, joints in {"spread": fixed, "visited_spread": now}.items():
            row |= {name: joints.mean(), f"{name}_min": joints.min()}
            row |= {f"{name}_joint{j}": joint for j, joint in enumerate(joints)}
        if values := head.choice_spec.values:
            row["perplexity"] = spread.perplexity(head.entropy(params), choice.shape[1:].numel(), values)
        return row

    @torch.no_grad()
    def _done(self, rollout: Rollout) -> dict[str, Tensor]:
        """Metrics of the executed actions, over all states of the rollout."""
        head = self.policy.head
        choice = rollout.choice.flatten(0, 1)[~rollout.masked.flatten()]
        if not len(choice):
            return {}
        choice = choice[_evenly(len(choice), min(len(choice), DONE))]
        units = spread.unit(head.decode(choice).flatten(0, 1), head.low, head.high)
        row = {"saturation": spread.saturation(units), "action_entropy": spread.executed_entropy(units)}
        if values := head.choice_spec.values:
            row["dead"] = spread.dead(choice.flatten(1), values)
        return row

    def _modes(self, obs: Tensor, rng: Generator) -> dict[str, float]:
        head = self.policy.head
        draws = spread.unit(self.policy.draws(obs, MODE_DRAWS, rng), head.low, head.high)
        width = modes.width_for(head.resolution)
        found = [modes.modes(state, width) for state in draws.transpose(0, 1).double().numpy(force=True)]
        means = draws.mean(0).double().numpy(force=True)
        distances = [modes.distance(mean, state) for mean, state in zip(means, found, strict=True)]
        return {"modes": float(np.mean([len(state) for state in found])), "mean_to_mode": float(np.mean(distances))}

    def _of_update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        rows = ~rollout.masked.flatten()
        columns = (rollout.obs, rollout.choice, rollout.log_prob, advantage)
        obs, choice, log_prob, weight = (x.flatten(0, 1)[rows] for x in columns)
        if not len(weight):
            return {}
        with torch.no_grad():
            least, most = health.ratios(log_prob, self.policy.head.log_prob(self.policy.params(obs), choice))
        row = {"ratio_min": least, "ratio_max": most, "advantage_skew": health.skew(weight)}
        if len(weight) >= PARTS * PART:
            picked = _evenly(len(weight), PARTS * PART)
            gradients = self._gradients(*(x[picked] for x in (obs, choice, log_prob, weight)))
            trace, square = health.noise_scale(gradients, PART)
            scale = trace / square.where(square > 0, torch.nan)
            row |= {"gradient_noise": trace, "gradient_square": square, "noise_scale": scale}
        return row

    @torch.enable_grad()
    def _gradients(self, obs: Tensor, choice: Tensor, log_prob: Tensor, weight: Tensor) -> Tensor:
        """Gradients of E[ratio·A] for each part, [PARTS, P]. Sample i belongs to part i mod PARTS."""
        leaf = self.policy.theta.detach().requires_grad_()
        found = []
        for part in range(PARTS):
            mine = slice(part, None, PARTS)
            now = self.policy.head.log_prob(self.policy.distribution(leaf, obs[mine]), choice[mine])
            gain = ((now - log_prob[mine]).exp() * weight[mine]).mean()
            found.append(torch.autograd.grad(gain, leaf)[0])
        return torch.stack(found)

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint."""
        states = {"probes": self.probes, "visited": self.visited}
        return {name: obs for name, obs in states.items() if obs is not None}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint's tensors. States that it lacks are those of the next rollout."""
        for name in ("probes", "visited"):
            setattr(self, name, state[name].clone() if name in state else None)


def _evenly(of: int, count: int) -> Tensor:
    """`count` evenly spaced indices below `of`, including the first and the last one."""
    return torch.linspace(0, of - 1, count).long()
