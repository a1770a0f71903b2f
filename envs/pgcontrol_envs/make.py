"""From an env's name to a VecEnv."""

from pgcontrol_envs.from_gymnasium import GymnasiumVecEnv
from pgcontrol_envs.tasks import find
from pgcontrol_envs.vector import TaskVecEnv, VecEnv


def make(env_id: str, num_envs: int, seed: int = 0, threads: int = 0, workers: int = 0) -> VecEnv:
    """N copies of an env, with explicit reset.

    Args:
        env_id: a task's id ("HalfCheetah-v5"), or for any Gymnasium env with Box observations and actions "gym:ID" or
            "gym:MODULE:ID"; what is to be set of it behind: "Go1-v0?kp=25", "gym:ID?KEY=VALUE&KEY=VALUE".
        num_envs: N.
        seed: env i draws from Gymnasium's np_random(seed + i).
        threads: threads for the physics, the caller's included; 0 for one per logical CPU. Results do not depend on it.
        workers: processes that step the copies of a Gymnasium env; 0: this one does. Nor do they depend on this.

    Raises:
        UnknownEnv: no such env.
        TaskError: a task has no such setting, or the value cannot be.
        BrokenEnv: a Gymnasium env breaks Gymnasium's contract.
        OneEngine: a process cannot hold so many copies.
        ValueError: num_envs or threads out of range, or an env whose spaces are not (bounded, for actions) Boxes.
    """
    if num_envs < 1:
        raise ValueError(f"num_envs: expected at least 1, got {num_envs}")
    if threads < 0:
        raise ValueError(f"threads: expected 0 (one per logical CPU) or more, got {threads}")
    if env_id.startswith("gym:"):
        return GymnasiumVecEnv(env_id, num_envs, seed, workers)
    if workers:
        raise ValueError(f"{env_id}: worker processes are for gym: environments; its copies are stepped by threads")
    return TaskVecEnv(find(env_id), num_envs, seed, threads)
