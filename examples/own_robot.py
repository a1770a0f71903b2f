"""Train your own robot from Python: a class and an MJCF file in the same folder, without registration."""

import sys
from pathlib import Path

import numpy as np

import pgcontrol

XML = Path(__file__).with_name("cart.xml")


class Cart(pgcontrol.Task):
    """Keep a cart at the origin against a push."""

    id = "Cart-v0"
    xml = str(XML)
    frame_skip = 5
    time_limit = 200
    reset_noise = 0.5

    def bind(self, physics):
        self.qpos, self.qvel = physics.qpos, physics.qvel

    def observe(self):
        return np.concatenate([self.qpos, self.qvel], -1)

    def reward(self, action, before, terminated):
        near, effort = np.exp(-np.abs(self.qpos[:, 0])), -0.01 * np.square(action).sum(-1, dtype=np.float64)
        return near + effort, {"reward_near": near, "reward_effort": effort}


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    run = pgcontrol.train({"env": Cart, "total_steps": steps}, quiet=False)
    print(f"to watch it: pgcontrol video {run.path} --out cart.mp4 --plugin {Path(__file__).resolve()}")
