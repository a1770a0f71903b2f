"""Makes a VecEnv from the name of an env."""

from pgcontrol_envs.from_gymnasium import GymnasiumVecEnv
from pgcontrol_envs.tasks import find
from pgcontrol_envs.vector import TaskVecEnv, VecEnv
from pgcontrol_envs.warp_physics import Warp


def make(
    env_id: str, num_envs: int, seed: int = 0, threads: int = 0, workers: int = 0, warp: Warp | None = None
) -> VecEnv:
    """N copies of an env. Episodes are reset explicitly.

    Args:
        env_id: a task's id ("HalfCheetah-v5"), or for a Gymnasium env with Box observations and actions "gym:ID" or
            "gym:MODULE:ID". Settings are appended: "Go1-v0?kp=25", "gym:ID?KEY=VALUE&KEY=VALUE".
        num_envs: N.
        seed: env i uses Gymnasium's np_random(seed + i); a dm: task NumPy's RandomState(seed + i), as dm_control does.
        threads: threads for the physics, including the caller's; 0: one per logical CPU. Results do not depend on it.
        workers: processes that step the copies of a Gymnasium env; 0: this process. Results do not depend on it.
        warp: simulate with MuJoCo Warp, with these settings; None: with MuJoCo, on the CPU.

    Raises:
        UnknownEnv: there is no such env.
        TaskError: the task has no such setting, or the value is invalid.
        BrokenEnv: a Gymnasium env breaks Gymnasium's contract.
        OneEngine: one process cannot hold so many copies.
        ValueError: num_envs or threads are out of range, a space of the env is not a (for actions, bounded) Box, or
            MuJoCo Warp is not installed or cannot simulate the env.
    """
    if num_envs < 1:
        raise ValueError(f"num_envs: expected at least 1, got {num_envs}")
    if threads < 0:
        raise ValueError(f"threads: expected 0 (one per logical CPU) or more, got {threads}")
    if env_id.startswith("gym:"):
        if warp:
            raise ValueError(f"physics = 'warp': {env_id} has a simulator of its own; only tasks can change theirs")
        return GymnasiumVecEnv(env_id, num_envs, seed, workers)
    if workers:
        raise ValueError(f"{env_id}: workers are only for gym: environments; threads step the copies of this task")
    if warp:
        from pgcontrol_envs.warp_vector import WarpVecEnv  # an extra

        return WarpVecEnv(find(env_id), num_envs, seed, threads, warp)
    return TaskVecEnv(find(env_id), num_envs, seed, threads)
