"""Train with your own log, and stop when the return is good enough. The run can be resumed."""

import sys

import pgcontrol


def main(target: float = 300.0, steps: int = 200_000) -> None:
    trainer = pgcontrol.Trainer("Hopper-v5", head="binned", total_steps=steps, video=False)
    for metrics in trainer:
        reached = metrics.get("rollout/ep_rew_mean") or 0.0
        print(f"{trainer.steps:9,} steps  return {reached:8.1f}  KL {metrics['train/kl']:.4f}")
        if reached >= target:
            print(f"{target:g} reached; to resume: pgcontrol resume {trainer.path}")
            break


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
