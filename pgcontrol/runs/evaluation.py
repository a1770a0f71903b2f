"""`pgcontrol.evaluate`: returns of the policy of a run, or of another agent in the same task."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgcontrol.arguments import EVALUATION_SEED, EvaluateOptions
from pgcontrol.options import takes
from pgcontrol.play import evaluate as play
from pgcontrol.play.evaluate import EpisodeResults
from pgcontrol.runs import checkpoint
from pgcontrol.runs.load import env_to_play, load_with_meta


@dataclass(frozen=True)
class EvaluationResult:
    """What was played.

    Attributes:
        checkpoint: whose policy it was, or whose task.
        env: the task.
        seed: episode i began from seed + i.
        agents: by name (`mode` and `sampled`, or `random`, or `zero`): returns [N], lengths [N] and routes of episodes.
    """

    checkpoint: Path
    env: str
    seed: int
    agents: dict[str, EpisodeResults]

    def summary(self) -> dict[str, dict[str, float]]:
        """By agent: mean return, its interval, deviation, mean length and so on, by the names that logs have."""
        return {name: play.summary(played, "") for name, played in self.agents.items()}

    def rows(self) -> list[dict[str, Any]]:
        """A row an episode, as `pandas.DataFrame` takes them; `route`: the number of the one it took, or -1."""
        rows = []
        for name, played in self.agents.items():
            for i, (total, length) in enumerate(zip(played.returns.tolist(), played.lengths.tolist(), strict=True)):
                row = {"agent": name, "seed": self.seed + i, "return": total, "length": length}
                rows.append(row if played.route is None else row | {"route": int(played.route[i])})
        return rows


@takes(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> EvaluationResult:
    """Play the newest policy of a run by mode and by samples, or another agent, from the same start states.

    Raises:
        InputError: no policy there, or a setting is wrong.
    """
    return played(options.run, options.episodes, options.seed, options.agent)


def played(
    run: Path, episodes: int, seed: int = EVALUATION_SEED, agent: str = "policy", threads: int = 0
) -> EvaluationResult:
    """`evaluate`, on so many threads of the physics; 0: one per logical CPU. Results do not depend on it."""
    folder = checkpoint.latest(run)
    policy, meta = load_with_meta(folder)
    env = env_to_play(meta["policy"]["env"], episodes, seed, threads)
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
