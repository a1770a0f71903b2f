"""Symmetric policies: a mirrored observation has the mirrored distribution, to the bit."""

from typing import Any

import numpy as np
import pytest
import torch
from pgcontrol_envs.task import Mirror, TaskError
from pgcontrol_envs.tasks.go1 import Go1
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import make_policy, policy_spec
from pgcontrol.training.learner import Learner

SMALL = {"env": "Go1-v0", "num_envs": 4, "rollout_steps": 16, "total_steps": 256, "algorithm.minibatch": 32}
SMALL |= {"eval_every": 0, "threads": 1, "symmetric": True}
ABLE = sorted(name for name, head in catalog.heads().items() if head.mirrors())


@pytest.mark.parametrize("name", ABLE)
def test_a_trained_policy_is_symmetric(name):
    learner = Learner(configure(SMALL | {"head": name}))
    learner.update()
    policy = learner.policy
    assert policy.mirror is not None
    (order, sign), (joints, signs) = policy.mirror
    obs = learner.collector.obs[:, :45]
    seen, image = policy.normaliser(obs), policy.normaliser(obs[:, order] * sign)
    assert torch.equal(image, seen[:, order] * sign)
    assert torch.equal(policy.params(image), policy.head.mirror(policy.params(seen), joints, signs))
    theta = policy.theta
    assert torch.allclose(policy.distribution(theta, seen), policy.params(seen), atol=1e-6)


def test_a_head_that_cannot_be_symmetric_reports_it():
    with pytest.raises(InputError, match="head 'token' does not define `mirror`; these heads do: beta, binned, "):
        Learner(configure(SMALL | {"head": "token"}))
    with pytest.raises(InputError, match=r"symmetric = True: Hopper-v5 does not define a mirror image"):
        Learner(configure(SMALL | {"env": "Hopper-v5"}))


def test_codes_of_data_become_symmetric_and_their_number_must_be_even():
    learner = Learner(configure(SMALL | {"head": "token-offset", "head.source": "a run"}), fresh=False)
    policy, rng = learner.policy, torch.Generator().manual_seed(0)
    policy.prepare(lambda source, horizon: 2 * torch.rand(500, horizon, 12, generator=rng) - 1, 0)
    assert policy.mirror is not None
    joints, signs = policy.mirror[1]
    first, second = policy.head.get_buffer("table").chunk(2)
    assert torch.equal(second, first[:, joints] * signs)
    assert len(first.unique(dim=0)) == 16
    with pytest.raises(InputError, match=r"head.codes = 33: must be even for a symmetric policy"):
        Learner(configure(SMALL | {"head": "token-offset", "head.codes": 33}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m._replace(obs=(m.obs[0][::-1], m.obs[1])), "obs: mirroring twice must be the identity"),
        (
            lambda m: m._replace(obs=(m.obs[0], (*m.obs[1][:6], 1, *m.obs[1][7:]))),
            "obs: mirroring twice must be the identity",
        ),
        (lambda m: m._replace(action=(m.action[0], m.action[1][:-1])), "action: expected 12 indices"),
        (lambda m: m._replace(action=m.action[0]), "action: expected 12 indices"),
        (lambda m: m._replace(action=([1.5] * 12, m.action[1])), "action: expected 12 indices"),
        (tuple, "returned a tuple of 2; expected a pgcontrol_envs.task.Mirror"),
        (lambda m: m._replace(action=(m.action[0], (1,) * 12)), r"the bounds of the actions \[0, 3, 6, 9\]"),
    ],
)
def test_a_mirror_that_is_none_is_refused(change, says):
    class Odd(Go1):
        id = "Odd-v0"

        def mirror(self):
            return change(super().mirror())

    with pytest.raises(TaskError, match=f"Odd.mirror: {says}"):
        TaskVecEnv(Odd, 2)


def test_a_mirror_may_be_of_arrays():
    class Arrays(Go1):
        def mirror(self):
            one = super().mirror()
            parts: list[Any] = [(np.array(order), np.array(sign, float)) for order, sign in one]
            return Mirror(*parts)

    env = TaskVecEnv(Arrays, 1)
    config = configure(SMALL)
    assert policy_spec(config, env) == policy_spec(config, TaskVecEnv(Go1, 1))


@pytest.mark.parametrize("name", [name for name in ABLE if name != "utilities"])  # values have no width
def test_a_symmetric_policy_is_as_wide_as_asked(name):
    """The mean of params and mirrored params has another width than the head alone."""
    learner = Learner(configure(SMALL | {"head": name}))
    learner.update()
    policy = learner.policy
    policy.theta += 0.3 * torch.randn(policy.theta.shape, generator=torch.Generator().manual_seed(0))
    learner.widen(0.3)
    assert learner.watch.visited is not None
    params = policy.params(policy.normaliser(learner.watch.visited))
    assert float(policy.head.width(params)) == pytest.approx(0.3, rel=0.1)


def test_a_symmetric_policy_of_another_mirror_image_is_refused(tmp_path):
    """Its weights would be another policy."""
    learner = Learner(configure(SMALL | {"head": "mixture"}))
    learner.save(tmp_path / "checkpoints" / "step_1")
    spec = {name: value for name, value in learner.spec.items() if name != "mirrored_as"}
    with pytest.raises(InputError, match="the mirror image of head 'mixture' was another one"):
        make_policy(spec, 0)
    learner.spec = spec
    learner.save(tmp_path / "checkpoints" / "step_2")
    again = Learner(configure(SMALL | {"head": "mixture"}))
    again.load(tmp_path / "checkpoints" / "step_1")
    with pytest.raises(InputError, match="does not belong to the configuration"):
        again.load(tmp_path / "checkpoints" / "step_2")
    plain = Learner(configure(SMALL | {"head": "gaussian"})).spec
    assert make_policy({name: value for name, value in plain.items() if name != "mirrored_as"}, 0).mirror is not None
