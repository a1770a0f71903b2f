"""Laws that every head in the catalogue keeps. A new head's file is tested by being there."""

import math

import pytest
import torch

from pgcontrol import catalog

FEATURES, JOINTS, BATCH = 8, 3, 5
LOW, HIGH = torch.tensor([-1.0, -0.4, 0.5]), torch.tensor([1.0, 0.4, 2.5])


def make(name: str, **options):
    torch.manual_seed(0)
    cls = catalog.heads()[name]
    head = cls(FEATURES, LOW, HIGH, cls.Options(**options))
    # away from the near-zero initialisation, so that rows and joints differ
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return head


@pytest.fixture(params=sorted(catalog.heads()))
def head(request):
    return make(request.param)


@pytest.fixture
def params(head):
    with torch.no_grad():
        return head(torch.randn(BATCH, FEATURES, generator=torch.Generator().manual_seed(1)))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def many(head, params, n: int, seed: int = 0):
    """n choices for each row: params [B·n, ...], choice [B·n, ...]."""
    repeated = params.repeat_interleave(n, 0)
    return repeated, head.sample(repeated, rng(seed))


def test_shapes(head, params):
    choice = head.sample(params, rng())
    assert params.shape[0] == BATCH
    assert choice.shape == (BATCH, *head.choice_spec.shape)
    assert choice.dtype == head.choice_spec.dtype
    assert head.mode(params).shape == choice.shape
    assert head.decode(choice).shape[-1] == JOINTS
    for scalar in (head.log_prob(params, choice), head.entropy(params), head.kl(params, params)):
        assert scalar.shape == (BATCH,)


def test_samples_follow_the_generator_alone(head, params):
    first = head.sample(params, rng(3))
    torch.manual_seed(99)
    assert torch.equal(first, head.sample(params, rng(3)))
    assert not torch.equal(first, head.sample(params, rng(4)))


def test_decode_is_within_bounds_and_reaches_them(head, params):
    wide = torch.cat([params, 50 * params, -50 * params])
    action = head.decode(head.sample(wide.repeat(50, *[1] * (wide.ndim - 1)), rng()))
    assert ((action >= LOW) & (action <= HIGH)).all()


def test_mode_is_a_possible_choice_and_no_less_likely(head, params):
    mode = head.log_prob(params, head.mode(params))
    repeated, choice = many(head, params, 200)
    others = head.log_prob(repeated, choice).view(BATCH, 200)
    assert (mode[:, None] >= others - 1e-5).all()


def test_entropy_is_the_mean_of_minus_log_prob(head, params):
    n = 20_000
    repeated, choice = many(head, params, n)
    surprise = -head.log_prob(repeated, choice).view(BATCH, n)
    error = surprise.std(1) / math.sqrt(n)
    # 4.5 standard errors: 5 rows x a handful of heads stay below a false alarm in 10^4
    assert ((surprise.mean(1) - head.entropy(params)).abs() < 4.5 * error + 1e-5).all()


def test_kl_to_itself_is_zero(head, params):
    assert head.kl(params, params).abs().max() < 1e-6


def test_kl_agrees_with_monte_carlo(head, params):
    n = 20_000
    other = params + 0.2 * torch.randn(params.shape, generator=rng(7))
    repeated, choice = many(head, params, n)
    gap = (head.log_prob(repeated, choice) - head.log_prob(other.repeat_interleave(n, 0), choice)).view(BATCH, n)
    error = gap.std(1) / math.sqrt(n)
    assert ((gap.mean(1) - head.kl(params, other)).abs() < 4.5 * error + 1e-5).all()
    assert (head.kl(params, other) > 0).all()


def test_gradient_of_log_prob_against_finite_differences(head, params):
    choice = head.sample(params, rng())
    exact = params.double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: head.log_prob(p, choice.double() if choice.is_floating_point() else choice), exact
    )


def test_ratio_is_exactly_one_under_the_same_params(head, params):
    choice = head.sample(params, rng())
    assert torch.equal((head.log_prob(params, choice) - head.log_prob(params, choice)).exp(), torch.ones(BATCH))


def test_extreme_params_give_finite_numbers(head, params):
    for scale in (50.0, -50.0):
        extreme = (scale * params.sign()).clamp(-50, 50)
        # σ beyond its bounds never reaches a method: forward clamps; 10 nats is wider than any bound
        extreme = extreme if not head.choice_spec.dtype.is_floating_point else extreme.clamp(-10, 10)
        choice = head.sample(extreme, rng())
        for value in (head.log_prob(extreme, choice), head.entropy(extreme), head.kl(extreme, extreme)):
            assert value.isfinite().all()


def test_describe_names_std_and_gives_finite_scalars(head, params):
    described = head.describe(params)
    assert "std" in described
    assert all(torch.as_tensor(v).isfinite() for v in described.values())


def test_std_is_that_of_the_decoded_action_in_half_ranges(head, params):
    n = 40_000
    repeated, choice = many(head, params / params.abs().max().clamp_min(1), n)
    unit = (head.decode(choice) - LOW) / (HIGH - LOW) * 2 - 1
    measured = unit.view(BATCH, n, JOINTS).std(1).mean()
    said = head.describe(repeated.view(BATCH, n, *params.shape[1:])[:, 0])["std"]
    # a head with a tail outside the bounds may call its own, wider σ `std`: clipping can only narrow it
    assert measured <= said * 1.02
    assert measured > 0.3 * said


def test_weights_round_trip(head, params):
    other = make(type(head).name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(head.state_dict())
    features = torch.randn(BATCH, FEATURES)
    assert torch.equal(other(features), head(features))
