"""The critic's fit."""

import pytest
import torch

from pgcontrol.learning.fitting import CriticFit, CriticOptions, critic_steps
from pgcontrol.learning.score import ScoreAndCritic
from pgcontrol.machine.compiler import EAGER, Compilation, Function
from pgcontrol.machine.trees import leaves
from pgcontrol.runs import catalog
from tests.learning.test_score import one_step

OPTIONS = CriticOptions(critic_epochs=5, critic_minibatch=30)  # of 64 samples: the last minibatch has 4
CRITICS = sorted(set(catalog.critics()) - {"none"})


class Counted(Compilation):
    """Notes the sizes of the batches that a compiled function gets, without compiling it."""

    def __init__(self):
        super().__init__(True)
        self.sizes = list[int]()

    def __call__(self, function: Function, state=()) -> Function:
        def noted(theta, adam, rate, batch, *args):
            self.sizes.append(len(leaves(batch)[0]))
            return function(theta, adam, rate, batch, *args)

        return noted


def fitted(critic: str, compilation: Compilation, options: CriticOptions = OPTIONS):
    policy, rollout, _, target = one_step(critic=critic)
    fit = CriticFit(policy, options, compilation)
    theta, metrics = fit(policy.theta, rollout, target, torch.Generator().manual_seed(0))
    return policy, theta, metrics


@pytest.mark.parametrize("critic", CRITICS)
def test_minibatches_of_the_usual_size_use_the_compiled_step(critic):
    counted = Counted()
    _, theta, _ = fitted(critic, counted)
    assert counted.sizes == [30] * 10
    assert critic_steps(OPTIONS, 64) == ScoreAndCritic.gradient_steps(OPTIONS, 64) == 10
    assert torch.equal(theta, fitted(critic, EAGER)[1])


def test_a_minibatch_that_is_larger_than_the_rollout_uses_the_compiled_step():
    counted, options = Counted(), CriticOptions(critic_epochs=3, critic_minibatch=100)
    fitted("mse", counted, options)
    assert counted.sizes == [64] * 3
    assert critic_steps(options, 64) == 3


@pytest.mark.slow  # a policy's compiled step is tested in test_ppo.py
@pytest.mark.parametrize("critic", CRITICS)
def test_compiled_and_eager_agree(critic):
    compilation = Compilation(True)
    policy, eager, metrics = fitted(critic, EAGER)
    _, theta, compiled = fitted(critic, compilation)
    assert compilation.on, "it was not compiled"
    assert not torch.equal(eager, policy.theta)
    assert torch.allclose(eager, theta, rtol=1e-3, atol=2e-5)
    assert compiled == pytest.approx(metrics, rel=1e-3, abs=1e-5)
