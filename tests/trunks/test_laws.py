"""Laws of all trunks in the catalogue."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from pgcontrol.laws import trunks as laws
from pgcontrol.laws.base import laws_of
from pgcontrol.machine import files
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import load, make_policy
from pgcontrol.training.learner import Learner
from pgcontrol.trunks.base import Trunk, orthogonal
from tests.laws.asking import ask
from tests.training.test_train import SMALL

HIDDEN = [32, 32]
SPEC = {
    "obs_size": 5,
    "low": [-1.0] * 2,
    "high": [1.0] * 2,
    "hidden": HIDDEN,
    "head": {"name": "gaussian"},
    "critic": {"name": "mse"},
}


@pytest.fixture(params=sorted(catalog.trunks()))
def name(request):
    return request.param


@pytest.mark.parametrize("law", laws_of(laws))
def test_law(law, name):
    ask(laws, law, laws.make(catalog.trunks()[name]))


def test_actor_and_critic_get_one_each_and_a_checkpoint_brings_it_back(name, tmp_path):
    learner = Learner(configure(SMALL | {"trunk": name, "hidden": "32,32"}))
    learner.update()
    learner.save(tmp_path / "step_1")
    policy, again = learner.policy, load(tmp_path / "step_1")
    assert type(policy.actor_trunk) is type(policy.critic_trunk) is catalog.trunks()[name]
    obs = torch.randn(4, policy.obs_size).double()
    assert torch.equal(again.act(obs, None)[0], policy.act(obs, None)[0])


def test_a_spec_without_a_trunk_means_layers_of_tanh():
    plain, said = make_policy(SPEC, 0), make_policy(SPEC | {"trunk": {"name": "mlp"}}, 0)
    assert torch.equal(plain.theta, said.theta)


def test_a_critic_may_have_a_network_of_another_kind_and_size(name, tmp_path):
    learner = Learner(configure(SMALL | {"trunk": name, "hidden": "32,32", "critic_trunk": "mlp", "critic_hidden": 8}))
    learner.update()
    learner.save(tmp_path / "step_1")
    policy = load(tmp_path / "step_1")
    assert type(policy.actor_trunk) is catalog.trunks()[name]
    assert isinstance(policy.critic_trunk, catalog.trunks()["mlp"])
    obs = torch.randn(4, policy.obs_size)
    assert policy.actor_trunk(obs).shape == (4, 32)
    assert policy.critic_trunk(obs).shape == (4, 8)
    assert torch.equal(policy.value(obs), learner.policy.value(obs))


def test_a_checkpoint_from_before_the_critic_had_a_network_of_its_own_continues(name, tmp_path):
    learner = Learner(configure(SMALL | {"trunk": name, "hidden": "32,32"}))
    learner.update()
    learner.save(tmp_path / "step_1")
    meta = files.read_json(tmp_path / "step_1" / "meta.json")
    del meta["policy"]["critic_trunk"], meta["policy"]["critic_hidden"]
    files.write_json(tmp_path / "step_1" / "meta.json", meta)
    again = Learner(learner.config)
    again.load(tmp_path / "step_1")
    assert torch.equal(again.policy.theta, learner.policy.theta)


def test_a_block_may_be_wider_inside():
    block = catalog.trunks()["residual-layernorm"]
    said = Learner(configure(SMALL | {"trunk": block.name, "hidden": "32,32", "trunk.expansion": 4})).policy
    for trunk in (said.actor_trunk, said.critic_trunk):
        shapes = {name: tuple(weight.shape) for name, weight in trunk.named_parameters()}
        assert (shapes["1.inner.weight"], shapes["1.outer.weight"]) == ((128, 32), (32, 128))


@pytest.mark.parametrize("hidden", [[], [8], [8, 8], [8, 4], [4, 8, 8, 6]])
def test_any_sizes_make_a_trunk_of_as_many_weights_as_said(hidden, name):
    kind = catalog.trunks()[name]
    trunk = kind(5, hidden, kind.Options())
    assert trunk(torch.randn(3, 5)).shape == (3, kind.features(5, hidden))
    assert sum(weight.numel() for weight in trunk.parameters()) == kind.weights(5, hidden, kind.Options())


class Even(Trunk):
    """A trunk that refuses some sizes."""

    name = "even"

    @dataclass(frozen=True)
    class Options:
        """None."""

    def layers(self, inputs, hidden, options) -> list[nn.Module]:
        if any(width % 2 for width in hidden):
            raise InputError(f"hidden = {hidden[0]}: needs even sizes")
        return [orthogonal(inputs, hidden[-1])]


@pytest.mark.parametrize("whose", ["", "critic_"])
def test_sizes_are_refused_where_they_cannot_be(whose):
    settings = {f"{whose}trunk": Even, f"{whose}hidden": 7}
    with pytest.raises(InputError, match=f"^{whose}hidden = 7: needs even sizes$"):
        Learner(configure(SMALL | settings))
