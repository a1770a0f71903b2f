"""`pgcontrol.evaluate`: returns of a run's policy, or of another agent in the same task."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pgcontrol.arguments import EVALUATION_SEED, EvaluateOptions
from pgcontrol.options import takes
from pgcontrol.play import evaluate as play
from pgcontrol.play.evaluate import EpisodeResults
from pgcontrol.runs import checkpoint
from pgcontrol.runs.load import changed, env_to_play, load_with_meta


@dataclass(frozen=True)
class EvaluationResult:
    """Results of an evaluation.

    Attributes:
        checkpoint: the checkpoint of the policy, or the one that gave the task.
        env: the task.
        seed: episode i starts from seed + i.
        agents: returns [N], lengths [N] and routes of episodes, by agent: `mode` and `sampled`, `random`, or `zero`.
    """

    checkpoint: Path
    env: str
    seed: int
    agents: dict[str, EpisodeResults]

    def summary(self) -> dict[str, dict[str, float]]:
        """Mean return, its interval, standard deviation, mean length and so on, by agent and by the names in logs."""
        return {name: play.summary(played, "") for name, played in self.agents.items()}

    def rows(self) -> list[dict[str, Any]]:
        """One row per episode, for `pandas.DataFrame`; `route` is the number of the route taken, or -1."""
        rows = []
        for name, played in self.agents.items():
            for i, (total, length) in enumerate(zip(played.returns.tolist(), played.lengths.tolist(), strict=True)):
                row = {"agent": name, "seed": self.seed + i, "return": total, "length": length}
                rows.append(row if played.route is None else row | {"route": int(played.route[i])})
        return rows


@takes(EvaluateOptions, further="env.")
def evaluate(options: EvaluateOptions, settings: Mapping[str, Any]) -> EvaluationResult:
    """Evaluate the mode and the samples of a run's newest policy, or another agent, from the same start states.

    Further arguments change settings of the run's task: `**{"env.push": 0}`.

    Raises:
        InputError: there is no policy, or a setting is invalid.
    """
    return played(options.run, options.episodes, options.seed, options.agent, settings=settings)


def played(
    run: Path,
    episodes: int,
    seed: int = EVALUATION_SEED,
    agent: str = "policy",
    threads: int = 0,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> EvaluationResult:
    """As `evaluate`, with `threads` physics threads; 0: one per logical CPU. The results do not depend on it."""
    folder = checkpoint.latest(run)
    policy, meta = load_with_meta(folder)
    env = env_to_play(changed(meta["policy"]["env"], settings), episodes, seed, threads)
    if agent == "policy":
        agents = {
            "mode": play.policy_agent(policy, deterministic=True, seed=seed),
            "sampled": play.policy_agent(policy, deterministic=False, seed=seed),
        }
    elif agent == "random":
        agents = {"random": play.random_agent(env, seed)}
    else:
        agents = {"zero": play.zero_agent(env)}
    results = {name: play.episodes(env, act, seed, count=episodes) for name, act in agents.items()}
    env.close()
    return EvaluationResult(folder, env.env_id, seed, results)
