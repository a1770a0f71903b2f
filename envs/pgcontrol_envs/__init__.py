"""MuJoCo worlds, batched over mujoco.batch, with a Gymnasium face."""
