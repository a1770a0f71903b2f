"""Augmentation: images of environments are what a mirrored robot would have seen and done, for every head and rule."""

import dataclasses

import numpy as np
import pytest
import torch
from pgcontrol_envs.tasks.go1 import Go1

import pgcontrol
from pgcontrol.learning.augmentation import Augmentation
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.samples import kept
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner

ENVS, CHOICES = 4, 16
SMALL = {"env": "Go1-v0", "num_envs": ENVS, "rollout_steps": CHOICES, "total_steps": 4 * ENVS * CHOICES, "threads": 1}
SMALL |= {"eval_every": 0, "symmetric": False, "augment": True}
ASYNCHRONOUS = [name for name, row in catalog.algorithms().items() if row.sampling.asynchronous]
HEADS = sorted(name for name in catalog.heads() if name != "utilities")  # only DecQN trains it


def small(**settings):
    rule = catalog.algorithms()[settings.get("algorithm", "ppo")].rule
    options = {"algorithm.minibatch": 32} if hasattr(rule.Options, "minibatch") else {}
    return configure(SMALL | options | settings)


def played(learner: Learner) -> tuple[Rollout, Rollout]:
    """A rollout without and with its images."""
    augmentation, learner.augmentation = learner.augmentation, None
    rollout = learner.collect()
    assert augmentation is not None
    return rollout, augmentation(rollout)


def weight(rollout: Rollout) -> torch.Tensor:
    assert rollout.weight is not None
    return rollout.weight


@pytest.mark.parametrize("head", HEADS)
def test_images_are_mirrored_observations_and_actions_with_the_same_rewards(head):
    learner = Learner(small(head=head, **({"head.codes": 32} if head == "token-residual" else {})))
    learner.update()  # with moments of the observations
    rollout, both = played(learner)
    policy, mirror = learner.policy, Go1().mirror()
    order = np.append(mirror.obs[0], 45 + np.array(mirror.privileged[0]))
    sign = np.append(mirror.obs[1], mirror.privileged[1])
    for name in ("raw_obs", "raw_next"):
        own, image = getattr(both, name).split(ENVS, 1)
        assert torch.equal(own, getattr(rollout, name))
        assert torch.equal(image, own[..., order] * torch.from_numpy(sign))
    for name in ("reward", "discount", "terminated", "truncated", "idle", "bad"):
        own, image = getattr(both, name).split(ENVS, 1)
        assert torch.equal(own, getattr(rollout, name)), name
        assert torch.equal(image, own), name
    assert both.steps == rollout.steps
    obs = policy.normaliser(both.raw_obs)
    assert torch.allclose(both.obs, obs, atol=1e-4)
    assert torch.allclose(both.seen[:-1], both.obs)
    action, image = policy.head.decode(both.choice.flatten(0, 1)).unflatten(0, obs.shape[:2]).split(ENVS, 1)
    legs, hips = mirror.action
    wanted, half = action[..., legs] * torch.tensor(hips), 0.5 * (learner.env.action_high - learner.env.action_low)
    off = ((image - wanted) / half).abs()
    if catalog.heads()[head].mirrors() or head in ("autoregressive", "token-offset"):
        assert off.max() < 1e-4
    else:  # some heads have no code at the image of another one
        assert off.mean() < 0.6
    now = policy.head.log_prob(policy.params(both.obs.flatten(0, 1)), both.choice.flatten(0, 1))
    assert torch.allclose(both.log_prob.flatten(), now, atol=1e-4)


@pytest.mark.parametrize("algorithm", sorted(set(catalog.algorithms()) - set(ASYNCHRONOUS)))
def test_every_rule_learns_from_images(algorithm):
    row = catalog.algorithms()[algorithm]
    few = {"algorithm.group_size": 2, "algorithm.warmup": 100, "algorithm.replay_ratio": 1.0}
    options = [f"algorithm.{field.name}" for field in dataclasses.fields(row.Options)]
    few = {key: value for key, value in few.items() if key in options}
    settings = few | {"algorithm": algorithm, "head": row.heads(catalog.heads())[-1]}
    augmented, alone = (Learner(small(**settings, augment=on)) for on in (True, False))
    for learner in (augmented, alone):
        learner.update()
        learner.update()
    assert augmented.rollout is not None
    assert augmented.rollout.bad.shape == (CHOICES, 2 * ENVS)
    moments = augmented.policy.normaliser
    mirror = Go1().mirror()
    mean = moments.mean[:45]
    assert torch.allclose(mean[list(mirror.obs[0])] * torch.tensor(mirror.obs[1]), mean, atol=1e-9)
    assert not torch.equal(augmented.policy.theta, alone.policy.theta)


def test_an_image_that_the_policy_would_hardly_choose_counts_less():
    learner = Learner(small(head="gaussian"))
    policy = learner.policy
    with torch.no_grad():  # the first joint is pushed one way: asymmetric
        policy.head.get_parameter("mean.bias")[0] += 0.5
    rollout, both = played(learner)
    ratio = (both.log_prob[:, ENVS:] - rollout.log_prob).exp()
    own, image = weight(both).split(ENVS, 1)
    assert (own == 1).all()
    assert torch.allclose(image, ratio.clamp_max(1.0))
    assert image.min() < 0.5 < 1.0 == image.max()
    estimate = both.estimate(learner.estimator)
    unweighted = dataclasses.replace(both, weight=None).estimate(learner.estimator)
    assert torch.allclose(estimate.advantage, weight(both) * unweighted.advantage)
    assert torch.equal(estimate.target, unweighted.target)
    # stored for reuse, the weight is the drift from the policy that played
    drift = (both.log_prob - kept(both, policy).log_prob).exp()
    assert torch.allclose(drift, weight(both), atol=1e-5)


def test_a_symmetric_policy_gives_images_the_probability_of_the_original():
    learner = Learner(small(head="gaussian", symmetric=True, augment=False))
    learner.update()
    rollout = learner.collect()
    both = Augmentation(learner.policy, Go1().mirror())(rollout)
    assert torch.allclose(both.log_prob[:, ENVS:], rollout.log_prob, atol=1e-3)
    assert weight(both).min() > 0.999


def test_with_a_prior_the_images_have_the_priors_moments(tmp_path):
    run = pgcontrol.train(SMALL | {"head": "token-offset", "algorithm.minibatch": 32, "run_dir": str(tmp_path / "a")})
    learner = Learner(small(prior=str(run.path), head="token-offset", prior_warmup=0))
    learner.update()
    assert learner.rollout is not None
    obs, raw_obs = (part[..., :45] for part in (learner.rollout.obs, learner.rollout.raw_obs))
    assert torch.allclose(obs, learner.policy.normaliser(raw_obs), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"symmetric": True, "head": "gaussian"}, "augment = True: a symmetric policy learns nothing from images"),
        ({"env": "Hopper-v5"}, "augment = True: Hopper-v5 does not define a mirror image"),
        ({"env": "HalfCheetah-v5"}, "augment = True: HalfCheetah-v5 does not define a mirror image"),
        ({"algorithm": "a3c"}, "augment = True: the workers of 'a3c' learn from what they play"),
    ],
)
def test_what_cannot_be_augmented_is_refused(settings, says):
    with pytest.raises(InputError, match=says):
        Learner(small(**settings))


def test_a_task_must_say_what_the_image_of_privileged_numbers_is(monkeypatch):
    monkeypatch.setattr(Go1, "mirror", lambda self, own=Go1.mirror: own(self)._replace(privileged=((), ())))
    with pytest.raises(
        InputError, match=r"augment = True: Go1-v0 does not define the image of .* \(Mirror.privileged\)"
    ):
        Learner(small())
