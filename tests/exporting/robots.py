"""Exported policies of robots."""

import json
from pathlib import Path

import torch

import pgcontrol
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import make_env, make_policy, policy_spec


def made(task: str, folder: Path) -> Path:
    env = make_env(task, 1, seed=0)
    spec = policy_spec(configure({"env": task, "hidden": [16], "symmetric": False}), env)
    policy = make_policy(spec, seed=3)
    policy.theta += 0.1 * torch.randn(policy.theta.shape, generator=torch.Generator().manual_seed(0))
    tensors = {f"policy.{k}": v for k, v in policy.state_dict().items()}
    checkpoint.save(folder / "run" / "checkpoints" / "step_7", tensors, {"policy": spec, "steps": 7, "episodes": []})
    return pgcontrol.export(folder / "run", folder / "policy.onnx").path


def described(file: Path) -> dict:
    return json.loads(file.with_suffix(".json").read_text())
