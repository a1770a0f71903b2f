"""Laws of a head within its policy, for every head in the catalogue: drawn from, compiled, saved."""

import json
import math

import pytest
import torch

from pgcontrol.machine.compiler import Graph
from pgcontrol.runs import checkpoint
from pgcontrol.runs.load import load, make_policy
from tests.heads.test_laws import BATCH, CASES, FEATURES, HIGH, JOINTS, LOW, rng


@pytest.fixture(params=[case.values for case in CASES], ids=[case.id for case in CASES])
def case(request):
    return request.param


def spec_of(case) -> dict:
    """The spec of a policy with the case's head."""
    name, options = case
    sizes = {"obs_size": 6, "low": LOW.tolist(), "high": HIGH.tolist(), "hidden": [FEATURES]}
    return json.loads(json.dumps(sizes | {"head": {"name": name, **options}, "critic": {"name": "mse"}}))


def test_draws_are_each_states_own(case):
    """[count, B, A]; apart from the noise, a state's draws do not depend on the other states."""
    policy = make_policy(spec_of(case), seed=3)
    policy.theta += 0.5 * torch.randn(policy.theta.shape, generator=rng())
    obs = torch.stack((torch.full((6,), -3.0), torch.full((6,), 3.0)))
    draws = policy.draws(obs, 4000, rng(1))
    assert draws.shape == (4000, 2, JOINTS)
    alone = [policy.draws(obs[i : i + 1], 4000, rng(2 + i))[:, 0] for i in range(2)]
    scale = (HIGH - LOW) / math.sqrt(4000)  # of the mean's error at most; five of them
    for i in range(2):
        assert ((draws[:, i].mean(0) - alone[i].mean(0)).abs() < 5 * scale).all()


def test_acting_is_one_graph_that_follows_weights_and_buffers(case):
    """The graph that `Collector` compiles: traced once, it agrees with the policy for all later weights and moments."""
    policy = make_policy(spec_of(case), seed=3)
    graph = Graph(policy.respond, [*policy.parameters(), *policy.buffers()])
    obs, noise = torch.randn(BATCH, 6, generator=rng(2)).double(), policy.head.noise(BATCH, rng(4))
    traced = graph.trace(obs, noise)
    policy.theta += 0.5 * torch.randn(policy.theta.shape, generator=rng())
    policy.normaliser.update(3 + 2 * torch.randn(100, 6, generator=rng(1)))
    obs, noise = torch.randn(BATCH, 6, generator=rng(5)).double(), policy.head.noise(BATCH, rng(6))
    action, choice = traced(obs, noise, *graph.state)
    expected_action, expected_choice = policy.respond(obs, noise)
    assert torch.allclose(choice.double(), expected_choice.double(), atol=1e-5)
    assert torch.allclose(action, expected_action, atol=1e-5)
    assert choice.dtype == expected_choice.dtype


def test_checkpoint_round_trip_is_bitwise(case, tmp_path):
    """Through a checkpoint's files and `load`: the same params, log-probabilities and actions, to the bit."""
    spec = spec_of(case)
    policy = make_policy(spec, seed=3)
    policy.theta += 0.3 * torch.randn(policy.theta.shape, generator=rng())
    checkpoint.save(tmp_path / "step_1", {f"policy.{k}": v for k, v in policy.state_dict().items()}, {"policy": spec})
    again = load(tmp_path / "step_1")
    obs = torch.randn(BATCH, 6, generator=rng(2))
    results = []
    for p in (policy, again):
        made = p.params(obs)
        choice = p.head.sample(made, rng(5))
        results.append([made, choice, p.head.log_prob(made, choice), p.head.decode(choice), p.head.entropy(made)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
