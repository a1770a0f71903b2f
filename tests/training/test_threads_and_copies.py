"""Trainings in threads of one process, and policies that are copied, sent to processes, and forked."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import mujoco
import numpy as np
import pytest

import pgcontrol
from pgcontrol.policy import Policy
from pgcontrol.runs import catalog
from pgcontrol.runs.load import make_env, make_policy, policy_spec
from tests.training.test_train import small

OBS = np.random.default_rng(0).normal(size=(200, 7, 11))


def logged() -> Any:
    config = mujoco.MjLogConfig.get()  # pyright: ignore[reportAttributeAccessIssue]
    return config.logto_console, config.logto_file


@pytest.fixture(scope="module", params=sorted(catalog.heads()))
def policy(request) -> Policy:
    config = pgcontrol.configure({"env": "Hopper-v5", "head": request.param, "hidden": [16]})
    env = make_env("Hopper-v5", 1, 0)
    return make_policy(policy_spec(config, env), seed=1)


def ask(policy: Policy, obs: np.ndarray = OBS[0]) -> np.ndarray:
    return policy.predict(obs)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["gaussian", "token"])
def test_trainings_in_threads_give_the_weights_of_trainings_in_turn(head, tmp_path):
    def train(name: str, seed: int) -> Any:
        words = {"env": "Hopper-v5", "head": head, "seed": seed, "total_steps": 512, "num_envs": 4, "rollout_steps": 16}
        return pgcontrol.train(small(**words, eval_every=0, run_dir=str(tmp_path / name))).policy().theta

    before, alone = logged(), [train(f"alone-{seed}", seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(train, f"{k}-{seed}", seed) for k in range(3) for seed in (0, 1)]
    assert all(job.result().equal(alone[k % 2]) for k, job in enumerate(jobs))
    assert logged() == before


@pytest.mark.parametrize("how", [copy.deepcopy, lambda policy: pickle.loads(pickle.dumps(policy))])
def test_a_copy_is_a_whole_policy_of_its_own(policy, how):
    kept, copied = ask(policy).copy(), how(policy)
    np.testing.assert_array_equal(ask(copied), kept)
    again = copied.predict(OBS[0], deterministic=False, seed=3)
    np.testing.assert_array_equal(again, policy.predict(OBS[0], deterministic=False, seed=3))
    copied.theta.zero_()
    assert all(not bool(weight.any()) for weight in copied.parameters())
    np.testing.assert_array_equal(ask(policy), kept)


def test_threads_may_share_a_policy(policy):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda obs: ask(policy, obs), OBS))
    np.testing.assert_array_equal(answers, [ask(policy, obs) for obs in OBS])


@pytest.mark.slow
def test_a_policy_can_be_sent_to_a_process():
    env = make_env("Hopper-v5", 1, 0)
    sent = make_policy(policy_spec(pgcontrol.configure({"env": "Hopper-v5"}), env), seed=1)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        np.testing.assert_allclose(pool.submit(ask, sent).result(120), ask(sent), atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this platform")
def test_a_fork_can_ask_a_policy(tmp_path):
    """In a new process, because this one has other threads."""
    code = f"""
import os, signal, numpy as np, pgcontrol
from tests.training.test_train import small
policy = pgcontrol.train(small(env="Hopper-v5", total_steps=256, run_dir={str(tmp_path / "r")!r})).policy()
obs = np.ones((4000, 11))
kept = policy.predict(obs)
child = os.fork()
if not child:
    signal.alarm(30)
    os._exit(0 if np.allclose(policy.predict(obs), kept, atol=1e-5) else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
