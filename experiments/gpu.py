"""Speed on a GPU with MuJoCo Warp: HalfCheetah, Ant and Go1 at 1,024 to 16,384 worlds, physics alone and with PPO.

    python experiments/gpu.py --device cuda --out experiments/gpu.json

It ends within eight minutes (`--minutes`): what the time does not suffice for is left out, and the file says so. Each
row is written when it is measured. On the CPU it only shows that it runs:

    python experiments/gpu.py --device cpu --worlds 2 4 --tasks HalfCheetah-v5 --seconds 1
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco_warp
import torch
import warp

from pgcontrol.machine import devices, files
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner

TASKS = ("HalfCheetah-v5", "Ant-v5", "Go1-v0")
WORLDS = (1024, 4096, 16384)
STEPS = 24  # choices per world and rollout, as legged trainers have
ROOM = {"Ant-v5": {"njmax": 256, "nconmax": 64}, "HalfCheetah-v5": {"njmax": 128, "nconmax": 48}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--worlds", nargs="+", type=int, default=WORLDS)
    parser.add_argument("--seconds", type=float, default=6.0, help="time for each measurement")
    parser.add_argument("--minutes", type=float, default=8.0, help="time for everything")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    device, ends = devices.named(given.device), time.monotonic() + 60 * given.minutes
    versions = {"torch": torch.__version__, "warp": warp.__version__, "mujoco_warp": mujoco_warp.__version__}
    result: dict[str, Any] = {"device": devices.model(device), "date": time.strftime("%Y-%m-%d"), "versions": versions}
    result |= {"rows": [], "left_out": []}
    cells = [(task, worlds) for worlds in given.worlds for task in given.tasks]
    slowest = 0.0  # seconds of a task's first cell so far, in which kernels are compiled
    for task, worlds in cells:
        began, first = time.monotonic(), worlds == given.worlds[0]
        if began + (slowest if first else 30 + 4 * given.seconds) > ends:
            result["left_out"].append(f"{task} x {worlds}")
        else:
            try:
                row = measured(task, worlds, given.device, given.seconds)
            except Exception as error:  # the other rows are wanted all the same
                row = {"error": f"{type(error).__name__}: {error}"}
            result["rows"].append({"task": task, "worlds": worlds, **row})
            slowest = max(slowest, time.monotonic() - began) if first else slowest
            print(json.dumps(result["rows"][-1]), flush=True)
        if given.out:
            files.write_json(given.out, result)
    print(json.dumps({key: value for key, value in result.items() if key != "rows"}))


def measured(task: str, worlds: int, device: str, seconds: float) -> dict[str, Any]:
    """Environment steps per second of the physics alone, of the environments with random actions, and with PPO."""
    samples = worlds * STEPS
    settings = {"env": task, "device": device, "physics": "warp", "num_envs": worlds, "rollout_steps": STEPS}
    settings |= {"algorithm.minibatch": max(1, samples // 4), "algorithm.epochs": 5, "hidden": (128, 128)}
    settings |= {"total_steps": 10**9, **ROOM.get(task, {})}
    began = time.perf_counter()
    learner = Learner(configure(settings))
    env: Any = learner.env
    low, high = (bound.to(learner.device) for bound in (env.action_low, env.action_high))
    actions = low + (high - low) * torch.rand(16, worlds, len(low), device=learner.device)
    for _ in range(3):  # compiles, captures the graph of a step, and fills the pool of start states
        learner.update()
    row: dict[str, Any] = {"seconds_to_start": round(time.perf_counter() - began, 1)}

    def physics(k: int) -> None:
        env.physics.step(env.task.frame_skip, None, env.task.stage, actions[k % len(actions)])

    def environments(k: int) -> None:
        step = env.step(actions[k % len(actions)])
        env.renew(step.terminated | step.truncated | step.unstable)

    row["physics"] = rate(physics, seconds, worlds, learner.device)
    env.renew(torch.ones(worlds, dtype=torch.bool, device=learner.device))
    row["environments"] = rate(environments, seconds, worlds, learner.device)
    env.check()
    learner.collector.restart()
    row["ppo"] = rate(lambda k: learner.update(), seconds, samples, learner.device)
    if learner.device.type == "cuda":
        row["gigabytes"] = round(torch.cuda.max_memory_allocated(learner.device) / 1e9, 2)  # without Warp's own
    learner.close()
    return row


def rate(once: Callable[[int], Any], seconds: float, units: int, device: torch.device) -> int:
    """Units per second of calls `once(k)`; the device is waited for at the beginning and at the end."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    once(0)
    wait()
    began, k = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or not k:
        k += 1
        once(k)
        if k % 20 == 0:
            wait()  # else calls pile up, and the last ones are waited for long after the time
    wait()
    return round(k * units / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
