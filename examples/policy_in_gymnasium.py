"""Play a trained policy in a Gymnasium environment: one observation at a time, or all of a vector environment."""

import sys

import gymnasium
import numpy as np

import pgcontrol


def play(policy: pgcontrol.Policy, env: gymnasium.Env, seed: int) -> float:
    obs, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        action = policy.predict(obs, deterministic=True)  # [O] -> [A]; a batch [N, O] gives [N, A]
        obs, reward, terminated, truncated, _ = env.step(action)
        total, over = total + float(reward), terminated or truncated
    return total


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    run = pgcontrol.train({"env": "Hopper-v5", "total_steps": steps, "video": False}, quiet=False)
    policy = run.policy()  # later, or elsewhere: pgcontrol.load("runs/...")
    theirs = [play(policy, gymnasium.make("Hopper-v5"), seed) for seed in range(3)]
    ours = pgcontrol.evaluate(run.path, episodes=3, seed=0).agents["mode"].returns
    print(f"Gymnasium's Hopper: {np.round(theirs, 2)}; pgcontrol's, from the same seeds: {np.round(ours, 2)}")
