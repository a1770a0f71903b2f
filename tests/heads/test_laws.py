"""Laws that every head in the catalogue keeps, under each of its variants. A new file is tested by being there."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from pgcontrol.runs import catalog

FEATURES, JOINTS, BATCH = 8, 3, 5
LOW, HIGH = torch.tensor([-1.0, -0.4, 0.5]), torch.tensor([1.0, 0.4, 2.5])
CASES = [
    pytest.param(
        name,
        options,
        id="-".join([name, *(f"{k}={v}" for k, v in options.items())]),
        marks=[pytest.mark.slow] if options else [],  # where the cases are taken as they are; the laws below take all
    )
    for name, cls in catalog.heads().items()
    for options in ({}, *cls.variants)
]


def make(name: str, **options):
    torch.manual_seed(0)
    cls = catalog.heads()[name]
    head = cls(FEATURES, LOW, HIGH, cls.Options(**options))
    # away from the near-zero initialisation, so that rows and joints differ
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return head.requires_grad_(False)


@pytest.fixture(params=[case.values for case in CASES], ids=[case.id for case in CASES])
def case(request):
    return request.param


@pytest.fixture
def head(case):
    name, options = case
    return make(name, **options)


@pytest.fixture
def params(head):
    return head(torch.randn(BATCH, FEATURES, generator=rng(1)))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def many(head, params, n: int, seed: int = 0):
    """n choices for each row: params [B·n, ...], choice [B·n, ...]."""
    repeated = params.repeat_interleave(n, 0)
    return repeated, head.sample(repeated, rng(seed))


def stated(head, method: str) -> float:
    """How far a method may be off: what the head says of it, and rounding."""
    return head.estimates.get(method, 0.0) * JOINTS + 1e-5


def whole_space(head) -> torch.Tensor:
    """Every choice there is, [n, *shape]; skips where they cannot be counted."""
    shape, dtype, values = head.choice_spec
    entries = math.prod(shape)
    if values is None or values**entries > 20_000:
        pytest.skip("not enumerable")
    return torch.tensor(list(itertools.product(range(values), repeat=entries)), dtype=dtype).view(-1, *shape)


def test_shapes(head, params):
    choice = head.sample(params, rng())
    assert params.shape[0] == BATCH
    assert choice.shape == (BATCH, *head.choice_spec.shape)
    assert choice.dtype == head.choice_spec.dtype
    assert head.mode(params).shape == choice.shape
    assert head.mode(params).dtype == choice.dtype
    assert head.decode(choice).shape == (BATCH, head.horizon, JOINTS)
    for scalar in (head.log_prob(params, choice), head.entropy(params), head.kl(params, params)):
        assert scalar.shape == (BATCH,)
        assert scalar.dtype == torch.float32


def test_samples_follow_the_generator_alone(head, params):
    first = head.sample(params, rng(3))
    torch.manual_seed(99)
    assert torch.equal(first, head.sample(params, rng(3)))
    assert not torch.equal(first, head.sample(params, rng(4)))


def test_decode_is_within_bounds(head, params):
    wide = torch.cat([params, 50 * params, -50 * params])
    action = head.decode(head.sample(wide.repeat(50, *[1] * (wide.ndim - 1)), rng()))
    assert ((action >= LOW) & (action <= HIGH)).all()


def unit(action):
    return (action - LOW) / (HIGH - LOW) * 2 - 1


def test_encode_gives_back_what_decode_can_say(head, params):
    """A clone of the head's own actions learns these very actions, but for those that no choice decodes to."""
    choice = head.sample(params, rng())
    action = head.decode(choice)
    again = head.encode(action)
    assert again.shape == choice.shape
    assert again.dtype == choice.dtype
    exact = not choice.is_floating_point()
    assert torch.allclose(unit(head.decode(again)), unit(action), rtol=0, atol=1e-6 if exact else 2e-3)
    assert torch.allclose(unit(head.decode(head.encode(head.decode(again)))), unit(head.decode(again)), atol=1e-6)
    assert head.log_prob(params, again).isfinite().all()


def test_encode_is_the_nearest_choice(head, params):
    """Of no sampled choice is the action nearer, wherever the action lies, at the bounds too."""
    sampled = head.decode(many(head, params, 100)[1])
    given = LOW + (HIGH - LOW) * torch.rand(sampled.shape, generator=rng(5))
    given[::7, ..., 0], given[::5, ..., 1] = LOW[0], HIGH[1]
    said = unit(head.decode(head.encode(given)))
    assert said.isfinite().all()

    def off(one):
        return (one - unit(given)).flatten(1).norm(dim=1)

    assert (off(said) <= off(unit(sampled)) + 2e-3).all()


def test_mode_is_a_possible_choice(head, params):
    mode = head.mode(params)
    action = head.decode(mode)
    assert head.log_prob(params, mode).isfinite().all()
    assert ((action >= LOW) & (action <= HIGH)).all()


def test_mode_is_the_likeliest_choice(head, params):
    if not head.likeliest_mode:
        pytest.skip("the head's docstring says what its mode is instead")
    mode = head.log_prob(params, head.mode(params))
    repeated, choice = many(head, params, 200)
    others = head.log_prob(repeated, choice).view(BATCH, 200)
    assert (mode[:, None] >= others - 1e-5).all()


def test_mass_sums_to_one(head, params):
    choices = whole_space(head)
    for row in params:
        mass = head.log_prob(row.expand(len(choices), *row.shape), choices).double().exp()
        assert float(mass.sum()) == pytest.approx(1, abs=1e-5)


def test_densities_integrate_to_one_number(head, params):
    """E under p of q / p = 1 for any two of a head's distributions near each other."""
    n = 50_000
    near = params + 0.1 * torch.randn(params.shape, generator=rng(7))
    repeated, choice = many(head, params, n)
    ratio = (head.log_prob(near.repeat_interleave(n, 0), choice) - head.log_prob(repeated, choice)).exp().view(BATCH, n)
    assert ((ratio.mean(1) - 1).abs() < 4.5 * ratio.std(1) / math.sqrt(n) + 1e-5).all()


def test_sampled_frequencies(head, params):
    choices, n = whole_space(head), 50_000
    for row in params:
        expected = n * head.log_prob(row.expand(len(choices), *row.shape), choices).double().exp().numpy()
        drawn = head.sample(row.expand(n, *row.shape), rng()).view(n, -1)
        values = head.choice_spec.values
        place = (drawn * values ** torch.arange(drawn.shape[1] - 1, -1, -1)).sum(1)
        counts = np.bincount(place, minlength=len(choices))
        # χ² wants at least 5 expected in a cell: the rarest are one cell together
        rare = expected < 5
        cells = [np.append(x[~rare], x[rare].sum()) for x in (counts, expected)]
        if cells[1][-1] < 5:
            cells = [np.append(x[:-2], x[-2:].sum()) for x in cells]
        # 10^-5: a handful of heads x 5 rows stay below a false alarm in 10^3, and the seed is fixed
        assert stats.chisquare(cells[0], cells[1] / cells[1].sum() * n).pvalue > 1e-5


def test_entropy_is_the_mean_of_minus_log_prob(head, params):
    n = 20_000
    repeated, choice = many(head, params, n)
    surprise = -head.log_prob(repeated, choice).view(BATCH, n)
    error = surprise.std(1) / math.sqrt(n)
    # 4.5 standard errors: 5 rows x a handful of heads stay below a false alarm in 10^4
    assert ((surprise.mean(1) - head.entropy(params)).abs() < 4.5 * error + stated(head, "entropy")).all()


def test_gradient_of_entropy_against_monte_carlo(head, params):
    """∇H = −E[log p ∇log p]: along a direction, and for estimates as well."""
    n, step = 40_000, torch.randn(params.shape, generator=rng(5))
    repeated, choice = many(head, params, n)
    log_prob, along = torch.func.jvp(  # pyright: ignore[reportAssignmentType]
        lambda p: head.log_prob(p, choice), (repeated,), (step.repeat_interleave(n, 0),)
    )
    centred = log_prob.view(BATCH, n) - log_prob.view(BATCH, n).mean(1, keepdim=True)
    terms = -centred * along.view(BATCH, n)
    leaf = params.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(head.entropy(leaf).sum(), leaf)
    ours = (gradient * step).flatten(1).sum(1)
    room = stated(head, "entropy") * step.flatten(1).norm(dim=1)
    assert ((terms.mean(1) - ours).abs() < 4.5 * terms.std(1) / math.sqrt(n) + room).all()


def test_kl_to_itself_is_zero(head, params):
    assert head.kl(params, params).abs().max() < 1e-6


def test_kl_to_itself_has_no_slope(head, params):
    """A trust region's step starts here: what slope there were would be taken for curvature."""
    leaf = params.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(head.kl(params, leaf).sum(), leaf)
    assert gradient.abs().max() < 1e-5


def test_kl_agrees_with_monte_carlo(head, params):
    n = 20_000
    other = params + 0.2 * torch.randn(params.shape, generator=rng(7))
    repeated, choice = many(head, params, n)
    gap = (head.log_prob(repeated, choice) - head.log_prob(other.repeat_interleave(n, 0), choice)).view(BATCH, n)
    error = gap.std(1) / math.sqrt(n)
    assert ((gap.mean(1) - head.kl(params, other)).abs() < 4.5 * error + stated(head, "kl")).all()
    assert (head.kl(params, other) > 0).all()


def test_gradient_of_kl_in_its_first_argument_against_monte_carlo(head, params):
    """∇ KL(p || q) = E[(log p − log q) ∇log p]: what holds a policy near another one pulls by this."""
    n, step = 10_000, torch.randn(params.shape, generator=rng(5))
    other = params + 0.05 * torch.randn(params.shape, generator=rng(7))
    repeated, choice = many(head, params, n)
    log_prob, along = torch.func.jvp(  # pyright: ignore[reportAssignmentType]
        lambda p: head.log_prob(p, choice), (repeated,), (step.repeat_interleave(n, 0),)
    )
    gap = (log_prob - head.log_prob(other.repeat_interleave(n, 0), choice)).view(BATCH, n)
    terms = (gap - gap.mean(1, keepdim=True)) * along.view(BATCH, n)
    leaf = params.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(head.kl(leaf, other).sum(), leaf)
    ours = (gradient * step).flatten(1).sum(1)
    room = stated(head, "kl") * step.flatten(1).norm(dim=1)
    assert ((terms.mean(1) - ours).abs() < 4.5 * terms.std(1) / math.sqrt(n) + room).all()


def test_gradient_of_log_prob_against_finite_differences(head, params):
    choice = head.sample(params, rng())
    exact = params.double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: head.log_prob(p, choice.double() if choice.is_floating_point() else choice), exact
    )


def test_a_head_keeps_nothing_between_calls(head, params):
    """The ratio of the same choice under the same params is exactly 1, whatever was asked in between."""
    choice, other = head.sample(params, rng()), params.roll(1, 0)
    before = head.log_prob(params, choice)
    for ask in (head.entropy, head.mode, head.describe):
        ask(other)
    head.log_prob(other, head.sample(other, rng(1)))
    head.kl(other, params)
    assert torch.equal((head.log_prob(params, choice) - before).exp(), torch.ones(BATCH))


def test_rows_do_not_depend_on_their_neighbours(head, params):
    """A rollout's log-probabilities are computed in one batch, a minibatch's in another."""
    choice = head.sample(params, rng())
    alone = torch.cat([head.log_prob(params[i : i + 1], choice[i : i + 1]) for i in range(BATCH)])
    assert torch.allclose(alone, head.log_prob(params, choice), atol=1e-5)


@pytest.mark.parametrize("size", [50.0, -50.0])
def test_extreme_params_give_finite_numbers_and_gradients(head, params, size):
    extreme = (size * params.sign()).clamp(-50, 50)
    # σ beyond its bounds never reaches a method: forward clamps; 10 nats is wider than any bound
    extreme = extreme if not head.choice_spec.dtype.is_floating_point else extreme.clamp(-10, 10)
    finite_everywhere(head, extreme)


@pytest.mark.parametrize("size", [100.0, -100.0])
def test_extreme_weights_give_finite_numbers_and_gradients(head, size):
    """Whatever forward can make: logits far beyond ±50, σ at either bound."""
    for parameter in head.parameters():
        parameter.mul_(size)
    finite_everywhere(head, head(torch.randn(BATCH, FEATURES, generator=rng(1))))


def finite_everywhere(head, params):
    shape, dtype, values = head.choice_spec
    edges = (0, values - 1) if values else (-1.0, 1.0) if dtype.is_floating_point else ()
    choices = [head.sample(params, rng()), head.mode(params)]
    choices += [torch.full((BATCH, *shape), edge, dtype=dtype) for edge in edges]
    assert all(head.decode(choice).isfinite().all() for choice in choices)
    leaf = params.clone().requires_grad_()
    measures = [head.log_prob(leaf, choice) for choice in choices]
    measures += [head.entropy(leaf), head.kl(params, leaf), head.kl(leaf, params.roll(1, 0))]
    for measure in measures:
        assert measure.isfinite().all()
        (gradient,) = torch.autograd.grad(measure.sum(), leaf, allow_unused=True)
        assert gradient is None or gradient.isfinite().all()
    assert all(torch.as_tensor(v).isfinite() for v in head.describe(params).values())


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
