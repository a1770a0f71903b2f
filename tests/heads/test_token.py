"""Tokens: the laws of heads over every kind of tokenizer, the warm-up, refits, and where tokens come from."""

import functools
import inspect
import itertools
import shutil

import pytest
import torch

import pgcontrol
from pgcontrol.heads.token import Token
from pgcontrol.laws.tokenizers import gaits
from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.ppo import ClippedSurrogate
from pgcontrol.machine.compiler import Compilation, Graph
from pgcontrol.options import InputError, composed
from pgcontrol.runs.config import configure
from pgcontrol.tokenizers import base, files
from pgcontrol.training.learner import Learner
from tests.heads import test_laws
from tests.heads.test_laws import BATCH, FEATURES, HIGH, JOINTS, LOW, make, rng
from tests.learning.test_ppo import rollout_of
from tests.training.test_train import small, weights

VARIANTS = {
    "warm": {"tokenizer": "kmeans", "codes": 16},
    "warm, chunks": {"tokenizer": "rvq", "codes": 8, "levels": 2, "horizon": 3},
    "warm, residual, more bins than codes": {"head": "token-residual", "codes": 8, "levels": 5},
    "bins": {"tokenizer": "bins", "codes": 5},
    "kmeans": {"tokenizer": "kmeans", "codes": 16},
    "vq, chunks": {"tokenizer": "vq", "codes": 16, "horizon": 2},
    "rvq": {"tokenizer": "rvq", "codes": 8, "levels": 3},
    "rvq, chunks": {"tokenizer": "rvq", "codes": 8, "levels": 3, "horizon": 4},
    "fast": {"tokenizer": "fast", "codes": 32, "length": 3, "scale": 4.0},
    "fast, chunks": {"tokenizer": "fast", "codes": 64, "length": 4, "scale": 4.0, "horizon": 4},
    "residual": {"head": "token-residual", "codes": 8, "levels": 3},
    "residual, chunks": {"head": "token-residual", "codes": 8, "levels": 2, "horizon": 3},
    "residual, two levels": {"head": "token-residual", "codes": 8},
    "residual of one level": {"head": "token-residual", "tokenizer": "kmeans", "codes": 16, "levels": None},
}
FAST = ("kmeans", "rvq, chunks", "fast", "residual, two levels")
"""One of each: a table, chunks, tokens of several steps at once, rows of codes; the warm ones are heads as they are."""
SOME = [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in VARIANTS]
WORLD = {"head", "params", "size"}
"""What a law may ask for here; that of checkpoints makes a head with options alone, and test_round_trip is its like."""
LAWS = {
    name: law
    for name, law in vars(test_laws).items()
    if name.startswith("test_") and set(inspect.signature(law).parameters) <= WORLD
}


def unfitted(name: str) -> Token:
    return make(**{"name": "token"} | {{"head": "name"}.get(k, k): v for k, v in VARIANTS[name].items()})


@functools.cache
def vocabulary(name: str) -> dict[str, torch.Tensor]:
    tokenizer, data = unfitted(name).tokenizer, gaits(seed=3)
    tokenizer.fit(base.windows(data, torch.zeros(data.shape[:2], dtype=torch.bool), tokenizer.horizon), seed=0)
    return tokenizer.state_dict()


def variant(name: str) -> Token:
    head = unfitted(name)
    if not name.startswith("warm"):
        head.tokenizer.load_state_dict(vocabulary(name))
        head.warm.fill_(False)
    return head


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", SOME)
def test_the_laws_of_heads(name, law):
    if law == "test_std_is_that_of_the_decoded_action_in_half_ranges" and VARIANTS[name].get("horizon", 1) > 1:
        pytest.skip("written for one action a choice; test_std_of_chunks is its like")
    if "encode" in law and VARIANTS[name].get("tokenizer") == "fast" and VARIANTS[name].get("horizon", 1) > 1:
        pytest.skip("cuts off what its tokens cannot say, and seeks no nearer row: tests/tokenizers measures its error")
    head = variant(name)
    with torch.no_grad():
        params = head(torch.randn(BATCH, FEATURES, generator=rng(1)))
    arguments = {"head": head, "params": params, "size": 50.0}
    LAWS[law](**{name: arguments[name] for name in inspect.signature(LAWS[law]).parameters})


def test_a_traced_policy_follows_the_end_of_the_warm_up():
    head = make("token", tokenizer="kmeans", codes=16)
    graph = Graph(lambda params, noise: (head.decode(head.draw(params, noise)),), list(head.buffers()))
    params, noise = head(torch.randn(BATCH, FEATURES, generator=rng(1))), head.noise(BATCH, rng(2))
    traced = graph.trace(params, noise)
    for warm in (True, False):
        head.warm.fill_(warm)
        head.tokenizer.get_buffer("table").uniform_(-1, 1, generator=rng(3))
        (action,) = traced(params, noise, *graph.state)
        assert torch.allclose(action, head.decode(head.draw(params, noise)))


@pytest.mark.parametrize("name", VARIANTS)
def test_round_trip(name):
    head, other = variant(name), unfitted(name)
    other.load_state_dict(head.state_dict())
    choice = head.sample(head(torch.randn(50, FEATURES)), rng())
    assert torch.equal(other.decode(choice), head.decode(choice))
    assert other.warm == head.warm


@pytest.mark.parametrize("name", [n for n, v in VARIANTS.items() if "horizon" in v])
def test_std_of_chunks(name):
    head = variant(name)
    params = 0.5 * torch.randn(head(torch.zeros(BATCH, FEATURES)).shape, generator=rng(1))
    unit = head.unit(head.sample(params.repeat_interleave(10_000, 0), rng()))
    measured = unit.view(BATCH, 10_000, head.horizon, JOINTS).std(1).mean()
    said = head.describe(params)["std"]
    assert 0.3 * said < measured < 1.02 * said


@pytest.mark.parametrize("name", VARIANTS)
def test_mass_sums_to_one(name):
    """Over all choices if they are few, otherwise position by position, which are then independent."""
    head = variant(name)
    params = 0.5 * torch.randn(head(torch.zeros(2, FEATURES)).shape, generator=rng(1))
    marginals = head.current_row(params).conditionals().softmax(-1).mean(1)
    positions, codes = marginals.shape[1:]
    base_choice = head.mode(params)
    if codes**positions <= 4096:
        rows = torch.tensor(list(itertools.product(range(codes), repeat=positions)))
        rows = torch.nn.functional.pad(rows, (0, base_choice.shape[1] - positions))
        for row in params:
            mass = head.log_prob(row.expand(len(rows), *row.shape), rows).double().exp().sum()
            assert float(mass) == pytest.approx(1, abs=1e-5)
        return
    for position in range(positions):
        choices = base_choice.repeat_interleave(codes, 0)
        choices[:, position] = torch.arange(codes).repeat(2)
        p = head.log_prob(params.repeat_interleave(codes, 0), choices).exp().view(2, codes)
        rest = marginals.amax(-1)  # the mode's mass at the other positions
        others = rest.prod(-1) / rest[:, position]
        assert torch.allclose(p.sum(1), others, rtol=1e-4)


def test_a_residual_row_holds_any_gaussian():
    """N(μ, Σ) over the sums of two levels, by couplings −Σ⁻¹."""
    head = variant("residual, two levels")
    precision = torch.tensor([[40.0, -25.0, 0.0], [-25.0, 40.0, 0.0], [0.0, 0.0, 30.0]])
    mean, table = torch.tensor([0.2, -0.1, 0.3]), head.tokenizer.get_buffer("table")
    size = table.square().mean((1, 2)).sqrt()
    base = table @ precision @ mean - 0.5 * ((table @ precision) * table).sum(-1)
    params = torch.zeros(1, 2, 8 + 3 * 2 * 3)
    params[0, 1, 8:].view(3, 2, 3)[:, 0] = -precision * size[0] * size[1]
    # the first level's base is what remains when the second is summed out
    second = base[1] - (table[0] @ precision) @ table[1].T
    params[0, 0, :8] = base[0] + second.logsumexp(-1)
    params[0, 1, :8] = base[1]
    rows = torch.tensor(list(itertools.product(range(8), repeat=2)))
    off = table[0][rows[:, 0]] + table[1][rows[:, 1]] - mean
    wanted = (-0.5 * ((off @ precision) * off).sum(-1)).log_softmax(0)
    assert torch.allclose(head.log_prob(params.expand(64, -1, -1), head.filled(rows)), wanted, atol=1e-4)


def test_warm_bins_reach_the_bounds_and_are_even():
    head = make("token", codes=64)
    choice = torch.arange(11).unsqueeze(1).expand(-1, 3)
    action = head.decode(choice)[:, 0]
    assert torch.allclose(action, LOW + (HIGH - LOW) * torch.linspace(0, 1, 11).unsqueeze(1), atol=1e-6)
    assert make("token", codes=16).bins == 16 // 3


REFITS = {
    "kmeans": {"tokenizer": "kmeans", "codes": 16},
    "rvq, chunks": {"tokenizer": "rvq", "codes": 8, "levels": 2, "horizon": 2},
    "fast, chunks": {"tokenizer": "fast", "codes": 64, "length": 4, "scale": 4.0, "horizon": 4},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "kmeans" else [pytest.mark.slow]) for name in REFITS]
)
def test_resume_is_bitwise_across_refits(name, tmp_path):
    """Six updates: bins, the first fit after the second, refits after the fourth and the sixth."""
    options = REFITS[name] | {"warmup": 0.1, "refit_every": 2, "refit_until": 1.0}
    settings = {f"head.{k}": v for k, v in options.items()}
    # chunks are several steps a choice: a budget that six updates do not exceed
    config = small(env="Hopper-v5", head="token", total_steps=256 * 6 * options.get("horizon", 1), **settings)
    straight = Learner(config)
    tables = []
    for update in range(6):
        straight.update()
        tables.append({k: v.clone() for k, v in straight.policy.head.tokenizer.state_dict().items()})  # pyright: ignore
        if update == 2:
            straight.save(tmp_path / "step_3")
    changes = [any(not torch.equal(a[k], b[k]) for k in a) for a, b in itertools.pairwise(tables)]
    assert changes[0]  # the first fit
    assert changes[2]  # and one refit at least after the checkpoint

    second = Learner(config, fresh=False)
    second.load(tmp_path / "step_3")
    for _ in range(3):
        second.update()
    for key, tensor in weights(straight).items():
        assert torch.equal(tensor, weights(second)[key]), key
    assert torch.equal(straight.adapting.get_state(), second.adapting.get_state())


def fitted_policy(settings, length: int = 64):
    policy, rollout, _, _ = rollout_of("token", length, **settings)
    features = lambda: policy.actor_trunk(policy.normaliser(rollout.raw_obs.flatten(0, 1)))  # noqa: E731
    return policy, rollout, features


@pytest.mark.parametrize("tokenizer", ["kmeans", "rvq"])
def test_the_first_fit_keeps_what_the_policy_does(tokenizer):
    """Eleven bins of two joints become 64 codes, or 16² sums: mean and deviation of the action stay."""
    settings = {"tokenizer": tokenizer} | ({"codes": 64} if tokenizer == "kmeans" else {"codes": 16, "levels": 2})
    policy, rollout, features = fitted_policy(settings)
    head: Token = policy.head  # pyright: ignore
    with torch.no_grad():  # a policy with something to lose: its action depends on the observation
        head.logits.weight += torch.randn(head.logits.weight.shape, generator=rng(5))
        rollout.choice = head.sample(head(features()), rng(6)).view_as(rollout.choice)
        before = head.moments(head(features()))
        head.adapt(rollout, features, progress=0.5, rng=rng(7))
        after = head.moments(head(features()))
    assert not head.warm
    spread = before[0].std(0).mean()
    assert float(head.refit_shift) == pytest.approx(float((after[0] - before[0]).abs().mean()))
    assert head.refit_shift < 0.25 * before[1].mean()  # a quarter of the policy's own deviation
    assert head.refit_shift < 0.5 * spread
    assert (after[1].mean() / before[1].mean() - 1).abs() < 0.1


def test_a_refit_to_the_same_actions_hardly_moves_the_policy():
    policy, rollout, features = fitted_policy({"tokenizer": "rvq", "codes": 8, "levels": 2, "refit_every": 1})
    head: Token = policy.head  # pyright: ignore
    head.adapt(rollout, features, 0.2, rng(1))
    with torch.no_grad():
        rollout.choice = head.sample(head(features()), rng(2)).view_as(rollout.choice)
        table, params = head.tokenizer.get_buffer("table").clone(), head(features())
        head.adapt(rollout, features, 0.2, rng(3))
        assert not torch.equal(table, head.tokenizer.get_buffer("table"))
        assert head.refit_shift < 0.1
    assert head(features()).shape == params.shape


def test_refits_keep_their_schedule():
    policy, rollout, features = fitted_policy(
        {"tokenizer": "kmeans", "codes": 16, "warmup": 0.2, "refit_every": 3, "refit_until": 0.5}
    )
    head: Token = policy.head  # pyright: ignore
    fits = []
    fit = head.tokenizer.fit
    head.tokenizer.fit = lambda chunks, seed: (fits.append(update), fit(chunks, seed))[1]  # pyright: ignore
    for update in range(1, 21):
        head.adapt(rollout, features, progress=update / 20, rng=rng(update))
        rollout.choice = head.sample(head(features()), rng(update)).view_as(rollout.choice)
    # 0.2 of the budget at update 4, three later the next; half of the budget is used at update 10
    assert fits == [4, 7]


@pytest.mark.slow
def test_compiled_and_eager_agree_across_the_first_fit():
    """The compiled step was traced during the warm-up and must follow the head out of it."""
    results, theta = [], None
    for compiled in (False, True):
        policy, rollout, advantage, target = rollout_of("token", 16, tokenizer="rvq", codes=8, levels=2)
        features = policy.actor_trunk(policy.normaliser(rollout.raw_obs.flatten(0, 1)))
        rule = ClippedSurrogate(
            policy, ClippedSurrogate.Options(minibatch=32, epochs=3, learning_rate=1e-3), Compilation(compiled)
        )
        rule.update(rollout, Estimate(advantage, target), 0.0, rng())
        theta = policy.theta.clone() if theta is None else theta
        policy.theta.copy_(theta)  # the same to the bit, so that the fit is
        head: Token = policy.head  # pyright: ignore
        head.adapt(rollout, lambda f=features: f, 0.5, rng(1))
        with torch.no_grad():
            params = policy.params(rollout.obs.flatten(0, 1))
            choice = head.sample(params, rng(2))
            rollout.choice = choice.view_as(rollout.choice)
            rollout.log_prob = head.log_prob(params, choice).view_as(rollout.log_prob)
        rule.update(rollout, Estimate(advantage, target), 0.0, rng(3))
        results.append(policy.theta.clone())
    assert theta is not None
    assert (results[0] - theta).abs().max() > 1e-3
    assert torch.allclose(*results, rtol=1e-3, atol=2e-5)


def test_chunks_train_and_play(tmp_path):
    run = pgcontrol.train(
        small(
            head="token",
            run_dir=str(tmp_path / "run"),
            eval_every=1024,
            eval_episodes=2,
            total_steps=2048,
            **{"head.horizon": 4, "head.codes": 16},
        )
    )
    last = run.metrics()[-1]
    assert last["head/warm"] == 0
    assert last["eval/mean_ep_length"] > 0
    action = run.policy().predict(torch.zeros(3, 11).numpy())
    assert action.shape == (3, 4, 3)
    assert abs(action).max() <= 1


def folder(path, kind="rvq", horizon=1, joints=3, **settings):
    tokenizer = files.make(kind, horizon, joints, settings)
    data = gaits()[..., :joints]
    tokenizer.fit(base.windows(data, torch.zeros(data.shape[:2], dtype=torch.bool), horizon), 0)
    files.save(path, tokenizer, {})
    return tokenizer


def test_tokens_from_a_folder_stay_as_they_are_and_are_not_needed_again(tmp_path):
    tokenizer = folder(tmp_path / "tokens", codes=8, levels=2)
    options = {"head.source": str(tmp_path / "tokens"), "head.tokenizer": "rvq", "head.codes": 8, "head.levels": 2}
    run = pgcontrol.train(small(head="token", run_dir=str(tmp_path / "run"), total_steps=512, **options))
    shutil.rmtree(tmp_path / "tokens")
    head: Token = run.policy().head  # pyright: ignore
    assert torch.equal(head.tokenizer.get_buffer("table"), tokenizer.get_buffer("table"))
    assert head.choice_spec.shape == (2,)
    assert pgcontrol.resume(run.path, total_steps=1024).steps == 1024
    with pytest.raises(InputError, match=r"no such run, dataset or tokenizer folder"):
        Learner(small(head="token", **options))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"head.tokenizer": "rvqq"}, "unknown tokenizer 'rvqq'; did you mean 'rvq'?"),
        ({"head.levels": 2}, "unknown setting 'head.levels' of head 'token'; expected one of: head.codes, "),
        ({"head.codes": 1}, "head.codes = 1: must be at least 2"),
        ({"head.tokenizer": "fast", "head.scale": -1}, "head.scale = -1.0: must be greater than 0"),
        ({"head.horizon": 0}, "head.horizon = 0: must be at least 1"),
        ({"head.warmup": 1.5}, "head.warmup = 1.5: must be less than 1"),
    ],
)
def test_bad_settings_get_one_line(settings, line):
    with pytest.raises(InputError) as caught:
        configure({"env": "Hopper-v5", "head": "token"} | settings)
    assert str(caught.value).startswith(line)


def test_a_folder_that_does_not_fit_is_refused_by_name(tmp_path):
    folder(tmp_path / "t", codes=8, levels=2)
    with pytest.raises(InputError, match=r"for 3 joints, not for 6"):
        Learner(small(env="HalfCheetah-v5", head="token", **{"head.source": str(tmp_path / "t")}))
    with pytest.raises(
        InputError,
        match=r"another tokenizer; pass --head.tokenizer rvq --head.horizon 1 --head.codes 8 --head.levels 2$",
    ):
        Learner(small(head="token", **{"head.source": str(tmp_path / "t")}))


def test_too_few_codes_to_warm_up_on():
    with pytest.raises(InputError, match=r"head.codes: 4 outputs are too few for a warm-up with 3 bins"):
        Token(4, LOW, HIGH, composed(Token.Options, {})(codes=4))


def test_a_missing_extra_is_named_before_a_run_begins_and_not_needed_to_load(monkeypatch, tmp_path):
    config = small(head="token", run_dir=str(tmp_path / "run"), total_steps=256, **{"head.tokenizer": "rvq"})
    run = pgcontrol.train(config)
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"a rvq tokenizer needs vector_quantize_pytorch: pip install"):
        Learner(config)
    assert run.policy().predict(torch.zeros(11).numpy()).shape == (3,)
    Learner(small(head="token"))


@pytest.mark.parametrize("joints", [1, 6, 17])
@pytest.mark.parametrize("std", [0.2, 0.4, 0.6])
def test_the_first_policy_has_the_width_that_was_asked_for(joints, std):
    """Also with the three bins that 64 codes leave for each of 17 joints."""
    torch.manual_seed(0)
    bounds = torch.ones(joints)
    said = {"initial_std": std, "codes": 64}
    h = Token(8, -bounds, bounds, composed(Token.Options, said)(**said))
    with torch.no_grad():
        assert h.moments(h(torch.zeros(1, 8)))[1].mean().item() == pytest.approx(std, abs=1e-3)


def test_no_bin_is_dead_at_first_although_an_even_number_of_bins_cannot_be_narrow():
    """Four bins have a σ of at least a third."""
    bounds, said = torch.ones(8), {"initial_std": 0.3, "codes": 32}
    h = Token(8, -bounds, bounds, composed(Token.Options, said)(**said))
    with torch.no_grad():
        assert h.current_row(h(torch.zeros(1, 8))).logits.softmax(-1).min() > 1e-3
