"""Speed of Stable-Baselines3's PPO on our environments, compared with its own copies of Gymnasium's env."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
from pgcontrol_envs.task import python_warnings

from pgcontrol.bench.training import REPEATS, timed
from pgcontrol.bench.turns import in_turns, ratio, show, spans
from pgcontrol.options import InputError
from pgcontrol.training import peer

ROLLOUT = 4096  # environment steps between two updates


def run(env_id: str, num_envs: int, threads: int, seconds: float) -> dict[str, Any]:
    """Measure whole trainings with Stable-Baselines3's PPO, print a table.

    All rows have the same settings: `num_envs` environments, rollouts of 4096 steps, two minibatches, 10 epochs, one
    torch thread. Its own envs come from its make_vec_env: Gymnasium's envs, one after the other, in a DummyVecEnv.

    Args:
        env_id: a task that Gymnasium has as well.
        num_envs: number of environments.
        threads: physics threads of our env, which is also measured with one thread: if other processes use the cores,
            one is faster.
        seconds: time for one turn of one row.

    Returns:
        {"env": ..., "settings": ..., "rows": {row: {"rate": median env steps/s, "low": smallest,
        "high": largest, "ratio": median over turns of the rate divided by that of its own envs in the same turn}}}.

    Raises:
        InputError: Stable-Baselines3 is not installed, or Gymnasium has no such task.
    """
    if not peer.installed():
        raise InputError("bench sb3 needs Stable-Baselines3: pip install 'pgcontrol[peers]'")
    models = on_worlds(env_id, num_envs, threads, steps=max(1, ROLLOUT // num_envs))
    rows: dict[str, Callable[[], float]] = {
        name: partial(timed, seconds, peer.learn, model) for name, model in models.items()
    }
    rates = in_turns(rows, REPEATS)
    own = next(iter(models))
    measured = {name: span | {"ratio": ratio(rates, name, own)} for name, span in spans(rates).items()}
    title = f"{env_id}: PPO of Stable-Baselines3, {num_envs} environments"
    show(title, measured, {"x its own": [f"{row['ratio']:.2f}" for row in measured.values()]})
    settings = {"num_envs": num_envs, "threads": threads, "seconds": seconds, "repeats": REPEATS, "rollout": ROLLOUT}
    return {"env": env_id, "settings": settings, "rows": measured}


def on_worlds(env_id: str, num_envs: int, threads: int, steps: int) -> dict[str, Any]:
    """Its PPOs with the same settings: on its own copies of Gymnasium's env, and on ours, batched.

    Args:
        env_id: a task that is Gymnasium's, too.
        num_envs: environments of both.
        threads: physics threads of ours, which are tried with one thread as well.
        steps: of each environment between two updates; an update makes 10 epochs of two minibatches.

    Raises:
        InputError: Gymnasium has no such task.
    """
    from pgcontrol_envs import sb3
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    if env_id not in gymnasium.registry:
        raise InputError(f"bench sb3: Gymnasium has no task {env_id}, so there is nothing to compare with")
    with python_warnings():
        envs = {"its own make_vec_env": make_vec_env(env_id, num_envs, seed=0)}
    for count in sorted({1, threads}):
        name = f"pgcontrol_envs.sb3, {count} physics thread{'s' * (count > 1)}"
        envs[name] = sb3.make(env_id, num_envs, seed=0, threads=count)
    settings = {"n_steps": steps, "batch_size": max(2, steps * num_envs // 2), "device": "cpu", "seed": 0}
    return {name: peer.silent(PPO("MlpPolicy", env, **settings)) for name, env in envs.items()}
