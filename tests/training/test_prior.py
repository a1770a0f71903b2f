"""From a prior to RL: the run starts as the prior, warms up the critic, stays near the prior, and is monitored."""

import shutil
from pathlib import Path

import pytest
import torch

import pgcontrol
from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.algorithms import TABLE
from pgcontrol.learning.merging import FinishedEpisode
from pgcontrol.learning.ppo import ClippedSurrogate
from pgcontrol.learning.samples import samples_of
from pgcontrol.machine.compiler import Graph
from pgcontrol.machine.trees import leaves
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import load
from pgcontrol.training.asynchronous import Workers
from pgcontrol.training.learner import Learner
from tests.heads.test_laws import CASES
from tests.learning.test_ppo import rollout_of
from tests.test_cli import run
from tests.training.test_train import SMALL, small, weights


class Priors:
    """Short runs of heads, by name, each trained when it is first asked for: few tests need all of them.

    Heads that begin with bins have learned their own codes.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def __truediv__(self, head: str) -> Path:
        if not (run := self.folder / head).exists():
            extra = {"head.warmup": 0.1, "head.codes": 32} if hasattr(catalog.heads()[head].Options, "warmup") else {}
            pgcontrol.train(small(head=head, total_steps=512, hidden="16", run_dir=str(run), **extra))
        return run


@pytest.fixture(scope="module")
def priors(tmp_path_factory) -> Priors:
    return Priors(tmp_path_factory.mktemp("priors"))


def tuner(prior, **settings) -> Learner:
    quick = {"env": "Hopper-v5", "prior": str(prior), "prior_warmup": 512, "total_steps": 2048, "eval_episodes": 4}
    return Learner(configure(SMALL | {"eval_every": 0} | quick | settings))


def kl_to_prior(learner: Learner) -> float:
    assert learner.prior
    obs = torch.randn(200, learner.policy.obs_size, generator=torch.Generator().manual_seed(5))
    params, origin = (learner.policy.distribution(theta, obs) for theta in (learner.policy.theta, learner.prior.origin))
    return float(learner.policy.head.kl(params, origin).mean())


@pytest.mark.parametrize("head", sorted(catalog.heads()))
def test_a_run_begins_as_its_prior_and_only_the_critic_warms_up(priors, head):
    learner, prior = tuner(priors / head), load(priors / head)
    obs = torch.randn(8, 11, dtype=torch.float64)
    expected = prior.params(prior.normaliser(obs))
    values = learner.policy.value(learner.policy.normaliser(obs))
    for _ in range(2):
        row = learner.update()
        assert row["train/kl"] == row["prior/kl"] == 0
        assert "train/policy_gradient_loss" not in row
    assert torch.equal(learner.policy.params(learner.policy.normaliser(obs)), expected)
    assert not torch.equal(learner.policy.value(learner.policy.normaliser(obs)), values)
    row = learner.update()
    assert row["train/kl"] > 0
    assert "train/kl_prior" in row
    assert torch.equal(learner.policy.normaliser.mean, prior.normaliser.mean)


@pytest.mark.parametrize("algorithm", ["ppo", "gae-pg", "npg", "trpo"])
def test_the_cost_of_kl_holds_the_policy_back_by_every_rule(priors, algorithm):
    far = {}
    for cost in (0.0, 100.0):
        extra = {"prior_kl": cost, "prior_kl_until": 1.0, "prior_warmup": 0}
        extra |= {"rollout_steps": 64, "algorithm": algorithm}
        known = {k: v for k, v in SMALL.items() if algorithm == "ppo" or not k.startswith("algorithm.")}
        quick = {"env": "Hopper-v5", "prior": str(priors / "binned"), "eval_every": 0, "total_steps": 2048}
        learner = Learner(configure(known | quick | extra))
        for _ in range(4):
            learner.update()
        far[cost] = kl_to_prior(learner)
    assert far[0.0] > 0
    assert far[100.0] < 0.5 * far[0.0]


@pytest.mark.parametrize(("head", "options"), CASES)
def test_the_penalty_is_the_heads_kl_and_can_be_traced(head, options):
    """The loss with a prior minus the one without is its weight x mean KL; the gradient is still one graph."""
    policy, rollout, advantage, target = rollout_of(str(head), **dict(options))
    rule = ClippedSurrogate(policy, ClippedSurrogate.Options(minibatch=64))
    other = policy.theta + 0.05 * torch.randn(policy.theta.shape, generator=torch.Generator().manual_seed(3))
    prior = policy.distribution(other, rollout.obs.flatten(0, 1))
    plain = samples_of(rollout, Estimate(advantage, target))
    held = plain._replace(prior=prior, prior_weight=torch.full((64,), 0.5))
    coef = torch.zeros((), dtype=torch.float64)
    without, step = (rule.step.gradient(policy.theta, batch, coef) for batch in (plain, held))
    kl = float(policy.head.kl(policy.params(rollout.obs.flatten(0, 1)), prior).mean())
    assert kl > 0
    assert step[1].of("loss") - without[1].of("loss") == pytest.approx(0.5 * kl, abs=1e-5)
    again = Graph(rule.step.gradient).trace(policy.theta, held, coef)(policy.theta, *leaves(held), coef)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(again, leaves(step), strict=True))


@pytest.mark.parametrize("head", ["gaussian", pytest.param("mixture", marks=pytest.mark.slow), "token"])
@pytest.mark.parametrize("after", [1, 3])
def test_resume_is_bitwise_within_and_after_the_warm_up_without_the_priors_folder(priors, head, after, tmp_path):
    shutil.copytree(priors / head, tmp_path / "prior")
    straight = tuner(tmp_path / "prior")
    rows = [straight.update() for _ in range(5)]
    first = tuner(tmp_path / "prior")
    for _ in range(after):
        first.update()
    first.save(tmp_path / "step_1")
    shutil.rmtree(tmp_path / "prior")
    second = Learner(first.config, fresh=False)
    second.load(tmp_path / "step_1")
    resumed = [second.update() for _ in range(5 - after)]
    for name, tensor in weights(straight).items():
        assert torch.equal(tensor, weights(second)[name]), name
    for a, b in zip(rows[after:], resumed, strict=True):
        timeless = {k: v for k, v in a.items() if not k.startswith("time/")}
        assert timeless == pytest.approx({k: b[k] for k in timeless}, abs=0, rel=0, nan_ok=True)


def test_a_run_from_a_prior_takes_over_its_head_and_can_be_resumed(priors, tmp_path, capsys):
    path = tmp_path / "run"
    words = "--total-steps 512 --num-envs 4 --rollout-steps 64 --algorithm.minibatch 64 --eval-every 0 --threads 1"
    extra = ("--prior", str(priors / "binned"), "--prior-warmup", "256", "--eval-episodes", "2")
    code, out, _ = run(capsys, "train", "Hopper-v5", "--run-dir", str(path), *words.split(), *extra)
    assert code == 0
    assert "step 256: from here on the policy learns, too; explained variance" in out
    policy = load(path)
    assert policy.head.name == "binned"
    assert policy.actor_trunk[0].out_features == 16
    code, out, _ = run(capsys, "resume", str(path), "--total-steps", "1024")
    assert code == 0


def test_the_pull_goes_to_zero(priors):
    learner = tuner(priors / "gaussian", prior_kl=0.4, prior_kl_until=0.5, prior_warmup=0)
    assert learner.prior
    assert [learner.prior.prior_weight(progress) for progress in (0.0, 0.25, 0.5, 0.9)] == [0.4, 0.2, 0.0, 0.0]


def test_std_is_set_for_the_prior_too(priors):
    for head, rel in (("gaussian", 1e-6), ("binned", 0.25)):
        learner = tuner(priors / head, prior_std=0.3)
        assert learner.update()["train/std"] == pytest.approx(0.3, rel=rel)
        assert kl_to_prior(learner) == 0


def test_the_alarm_is_printed_once_and_ends(priors):
    learner = tuner(priors / "gaussian", prior_margin=0.2)
    assert learner.prior
    learner.prior.prior_return.fill_(-100.0)
    alarms = []
    for total in (-110.0, -130.0, -131.0, -100.0, -100.0):
        metrics, remarks = learner.prior.watch({}, 5000, 5256, [FinishedEpisode(total, 10)] * 5)
        alarms.append((metrics["prior/alarm"], [line.split(":")[1].strip()[:5] for line in remarks]))
    assert alarms == [(0, []), (1, ["ALARM"]), (1, []), (0, ["retur"]), (0, [])]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"head": "gaussian"}, "its head is 'binned', here it is 'gaussian'"),
        ({"head.bins": 7}, "its head.bins is 11, here it is 7"),
        ({"hidden": "32"}, "its hidden is [16], here it is [32]"),
        ({"env": "Walker2d-v5"}, "its obs_size is 11, here it is 17"),
        ({"prior": "nowhere"}, "prior = 'nowhere': nowhere: no such run or checkpoint folder"),
        ({"prior_kl": -1}, "prior_kl = -1.0: must be at least 0"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(priors, settings, line):
    with pytest.raises(InputError) as caught:
        tuner(settings.pop("prior", priors / "binned"), **settings)
    assert line in str(caught.value)


def test_algorithms_take_a_prior_or_say_that_they_do_not(priors):
    for row in TABLE:
        head = next(head for head in ("binned", "gaussian", row.head) if head in row.heads(catalog.heads()))
        config = configure({"env": "Hopper-v5", "algorithm": row.name, "prior": str(priors / head), "threads": 1})
        if not row.rule.heeds_prior:
            with pytest.raises(InputError, match="cannot start from a prior"):
                Learner(config)
        else:
            learner = Learner(config)
            assert learner.prior
            learner.close()


@pytest.mark.slow
def test_asynchronous_workers_start_from_a_prior_and_stay_near_it(priors, tmp_path):
    """The critic warms up in all of them, then the policy moves; a resume does not need the prior's folder."""
    shutil.copytree(priors / "gaussian", tmp_path / "prior")
    known = {k: v for k, v in SMALL.items() if not k.startswith("algorithm.")}
    extra = {"env": "Hopper-v5", "algorithm": "a3c", "algorithm.workers": 2, "prior": str(tmp_path / "prior")}
    quick = {"prior_warmup": 2048, "total_steps": 8192, "rollout_steps": 16, "eval_every": 0, "eval_episodes": 4}
    learner = Learner(configure(known | extra | quick))
    workers = Workers(learner)
    try:
        value = learner.policy.value(torch.zeros(1, 11))
        first = workers.update()
        assert kl_to_prior(learner) < 1e-4  # one of them may be ahead by an update
        assert not torch.equal(learner.policy.value(torch.zeros(1, 11)), value)
        assert {"prior/kl", "prior/pull", "prior/return", "prior/alarm"} <= set(first)
        assert sum("from here on the policy learns, too" in line for line in learner.remarks) == 1
        workers.update()
        assert kl_to_prior(learner) > 0
        workers.save(tmp_path / "step_1")
    finally:
        workers.close()
    shutil.rmtree(tmp_path / "prior")
    second = Learner(learner.config, fresh=False)
    second.load(tmp_path / "step_1")
    workers = Workers(second)
    try:
        row = workers.update()
    finally:
        workers.close()
    assert row["prior/kl"] > 0
    assert "train/policy_gradient_loss" in row


def test_the_pull_does_not_decay_while_only_the_critic_learns(priors):
    learner = tuner(priors / "gaussian", prior_kl=0.4, prior_kl_until=0.5, prior_warmup=1024)
    assert learner.prior
    assert [learner.prior.prior_weight(progress) for progress in (0.0, 0.5, 0.625, 0.75)] == [0.4, 0.4, 0.2, 0.0]
