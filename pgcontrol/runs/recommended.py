"""Recommended settings for tasks and heads, with the source of each."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pgcontrol_envs.legged import Legged
from pgcontrol_envs.names import split

from pgcontrol.runs import catalog

ANY = ("",)  # all tasks, all heads, or all algorithms
PUCKS = ("Avoiding-v0", "Fork-v0", "MultiGoal-v0")
MODAL = (*PUCKS, "Bandit-v0")  # tasks that test which modes a head keeps
WIDE = ("gaussian-state", "gaussian-tanh", "beta", "mixture", "binned", "autoregressive")


def legged(env: str) -> bool:
    """Whether a task, one of ours or of a plug-in, is a legged robot."""
    task = catalog.tasks().get(env)
    return task is not None and issubclass(task, Legged)


def mirrors(head: str) -> bool:
    """Whether the head defines `mirror`."""
    return head in (heads := catalog.heads()) and heads[head].mirrors()


class Recommendation(NamedTuple):
    """Settings for some tasks, some heads and some algorithms.

    Attributes:
        tasks, heads: their names, or a function that decides by the name.
        settings: values by dotted key, also names of parts, such as `critic_trunk`. Options that the head or the
            algorithm does not have are ignored.
        algorithms: names.
    """

    tasks: tuple[str, ...] | Callable[[str], bool]
    heads: tuple[str, ...] | Callable[[str], bool]
    settings: Mapping[str, Any]
    algorithms: tuple[str, ...] = ANY

    def suits(self, env: str, head: str, algorithm: str) -> bool:
        """Whether the recommendation applies to this task, this head and this algorithm."""
        asked = ((self.tasks, split(env)[0]), (self.heads, head), (self.algorithms, algorithm))
        return all(names(name) if callable(names) else names == ANY or name in names for names, name in asked)


STEP = "algorithm.learning_rate"
# PPO as in most libraries. The settings of some tasks were found together with these
USUAL = {"rollout_steps": 128, "algorithm.gamma": 0.99, "algorithm.gae_lambda": 0.95, "critic_trunk": "mlp"}
USUAL |= {"algorithm.minibatch": 256, "algorithm.epochs": 10, "algorithm.reuse": 1, "algorithm.clip": 0.2}
USUAL |= {"algorithm.adaptive_kl": None, "algorithm.value_coef": 0.5, "algorithm.critic_epochs": 0}

# General rows come first; if two rows set the same key, the later one wins. Comments name the source of the values: a
# search in experiments/, the default of another library, or tuning by hand.
TABLE = (
    # the budget of most published results
    Recommendation(ANY, ANY, {"total_steps": 1_000_000}),
    # step: default of CleanRL and SB3 (1e-3 was better in every_head_search.yaml, HalfCheetah); width: by hand,
    # HalfCheetah; no other was better in every_head_tuning.yaml
    Recommendation(ANY, ("gaussian",), {"head.initial_std": 0.37, STEP: 3e-4}),
    # step: every_head_search.yaml, HalfCheetah, one seed; width and gain: by hand, HalfCheetah (docs/design.md)
    Recommendation(ANY, WIDE, {"head.initial_std": 0.4, STEP: 1e-3}),
    Recommendation(ANY, ("ordinal",), {"head.initial_std": 0.4, "head.gain": 0.3, STEP: 1e-3}),
    # every_head_search.yaml, HalfCheetah, one seed, k-means
    Recommendation(ANY, ("token",), {STEP: 1e-3}),
    # token_offset_search.yaml, five tasks, one seed
    Recommendation(ANY, ("token-offset",), {"head.initial_std": 0.3, "head.code_std": 0.2, STEP: 3e-4}),
    # one task, every head; first the settings that were not searched on it
    Recommendation(("Swimmer-v5", "Needle-v0", *MODAL), ANY, USUAL, ("ppo",)),
    Recommendation(legged, ANY, USUAL, ("ppo",)),
    # swimmer_search.yaml, two seeds: a stroke is rewarded seconds later; with γ = 0.99 PPO gets a tenth of the return
    Recommendation(("Swimmer-v5",), ANY, {"algorithm.gamma": 0.9999, "algorithm.gae_lambda": 0.99}),
    Recommendation(("Swimmer-v5",), ANY, {"num_envs": 8, "rollout_steps": 512}),
    # by hand, with a Gaussian, one seed
    Recommendation(PUCKS, ANY, {"total_steps": 200_000, "rollout_steps": 64, "eval_every": 100_000}),
    Recommendation(("Bandit-v0",), ANY, {"total_steps": 40_000, "rollout_steps": 32, "eval_every": 20_000}),
    Recommendation(("Bandit-v0",), ANY, {"eval_episodes": 100}),
    Recommendation(("Needle-v0",), ANY, {"total_steps": 400_000, "rollout_steps": 100, "eval_every": 200_000}),
    # by hand, with the Gaussian and the bins; the other heads get the same value
    Recommendation(MODAL, ANY, {"head.initial_std": 0.5, STEP: 1e-3}),
    Recommendation(("Needle-v0",), ANY, {"head.initial_std": 0.3, STEP: 1e-3}),
    # by hand, one seed: many environments and short rollouts are usual for legged robots (Rudin et al. 2022, table 6)
    Recommendation(legged, ANY, {"total_steps": 15_000_000, "num_envs": 512, "rollout_steps": 24}),
    Recommendation(legged, ANY, {"algorithm.minibatch": 3072, "algorithm.epochs": 5, STEP: 1e-3}),
    Recommendation(legged, ANY, {"hidden": [128, 128], "critic_hidden": [128, 128]}),
    Recommendation(legged, ANY, {"eval_every": 5_000_000, "checkpoint_every": 1_000_000}),
    Recommendation(legged, mirrors, {"symmetric": True, "head.initial_std": 0.2}),
    # one task, one head
    # swimmer_search.yaml, two seeds
    Recommendation(("Swimmer-v5",), ("gaussian",), {STEP: 1e-3}),
    # by hand: two standard deviations that together give that of the other heads: 0.3² + 0.4² = 0.5²
    Recommendation(MODAL, ("mixture",), {"head.initial_std": 0.4, "head.initial_spread": 0.3}),
    Recommendation(MODAL, ("token-offset",), {"head.initial_std": 0.3, "head.code_std": 0.4}),
    Recommendation(("Needle-v0",), ("mixture",), {"head.initial_std": 0.18, "head.initial_spread": 0.24}),
    Recommendation(("Needle-v0",), ("token-offset",), {"head.initial_std": 0.18, "head.code_std": 0.24}),
)


def of(env: str, head: str, algorithm: str) -> dict[str, Any]:
    """Recommended settings by dotted key. For Gymnasium environments (gym:ID) these are the general rows."""
    settings: dict[str, Any] = {}
    for row in TABLE:
        if row.suits(env, head, algorithm):
            settings |= row.settings
    return settings
