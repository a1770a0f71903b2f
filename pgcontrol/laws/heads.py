"""Laws of heads: shapes, sampling, densities, entropy, KL, gradients, and a common scale for all heads."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from pgcontrol.heads.base import Head
from pgcontrol.laws.a_head import (
    BATCH,
    FEATURES,
    HIGH,
    JOINTS,
    LOW,
    all_finite,
    every_choice,
    many,
    params_of,
    slope,
    unit,
    within_bounds,
)
from pgcontrol.laws.base import NotJudged, differentiable, finite, law, require, rng, same, shaped, within
from pgcontrol.options import InputError


def _stated(head: Head, method: str) -> float:
    """How far a method may be off: the error that the head states, and rounding."""
    return head.estimates.get(method, 0.0) * JOINTS + 1e-5


@law
def shapes(head: Head) -> None:
    """Every method returns the shape and dtype of the base class's contract."""
    params, spec = params_of(head), head.choice_spec
    require(isinstance(params, Tensor) and params.shape[:1] == (BATCH,), "forward: expected params [B, ...]")
    require(params.dtype == torch.float32, f"forward: params are {params.dtype}, expected float32")
    choice, letters = head.sample(params, rng()), "[B, *choice_spec.shape]"
    for method, got in {"sample": choice, "mode": head.mode(params)}.items():
        shaped(method, got, letters, (BATCH, *spec.shape), spec.dtype)
    shaped("decode", head.decode(choice), "[B, H, A]", (BATCH, head.horizon, JOINTS), torch.float32)
    scalars = {
        "log_prob": head.log_prob(params, choice),
        "entropy": head.entropy(params),
        "kl": head.kl(params, params),
    }
    for method, got in scalars.items():
        shaped(method, got, "[B]", (BATCH,), torch.float32)


@law
def samples_follow_the_generator_alone(head: Head) -> None:
    """The same generator gives the same choices, another one other choices; torch's global generator is not used."""
    params = params_of(head)
    first = head.sample(params, rng(3))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        same("sample: twice with generators of one seed", head.sample(params, rng(3)), first)
    require(not torch.equal(first, head.sample(params, rng(4))), "sample: two generators gave the same choices")


@law
def decode_is_within_bounds(head: Head) -> None:
    """Every sample decodes to actions in [low, high], for params of any size."""
    params = params_of(head)
    wide = torch.cat([params, 50 * params, -50 * params])
    within_bounds("decode", head.decode(head.sample(wide.repeat(50, *[1] * (wide.ndim - 1)), rng())))


@law
def encode_gives_back_what_decode_can_say(head: Head) -> None:
    """Encoding the head's own actions and decoding again gives the same actions."""
    params = params_of(head)
    choice = head.sample(params, rng())
    action = head.decode(choice)
    again = head.encode(action)
    shaped("encode", again, "[B, *choice_spec.shape]", choice.shape, choice.dtype)
    room = 2e-3 if choice.is_floating_point() else 1e-6
    said = unit(head.decode(again))
    within("decode(encode(action)), in half-ranges", said, unit(action), room)
    twice = unit(head.decode(head.encode(head.decode(again))))
    within("encode and decode a second time, in half-ranges", twice, said, 1e-6 + 1e-5 * said.abs())
    finite("log_prob of an encoded choice", head.log_prob(params, again))


@law
def encode_is_the_nearest_choice(head: Head) -> None:
    """No sampled choice decodes nearer to an action than its encoding, also for actions at the bounds."""
    sampled = head.decode(many(head, params_of(head), 100)[1])
    given = LOW + (HIGH - LOW) * torch.rand(sampled.shape, generator=rng(5))
    given[::7, ..., 0], given[::5, ..., 1] = LOW[0], HIGH[1]
    said = unit(head.decode(head.encode(given)))
    finite("decode(encode(action))", said)

    def off(one: Tensor) -> Tensor:
        return (one - unit(given)).flatten(1).norm(dim=1)

    further = off(said) - off(unit(sampled))
    require(
        (further <= 2e-3).all(),
        f"encode: a sampled choice decodes nearer to the action by {float(further.max()):.3g} half-ranges",
    )


@law
def mode_is_a_possible_choice(head: Head) -> None:
    """The mode has a finite log-probability and decodes within the bounds."""
    params = params_of(head)
    mode = head.mode(params)
    finite("log_prob of the mode", head.log_prob(params, mode))
    within_bounds("decode of the mode", head.decode(mode))


@law
def mode_is_the_likeliest_choice(head: Head) -> None:
    """No sampled choice is more likely than the mode."""
    if not head.likeliest_mode:
        raise NotJudged("likeliest_mode is False: the docstring says what the mode is")
    params = params_of(head)
    mode = head.log_prob(params, head.mode(params))
    repeated, choice = many(head, params, 200)
    above = (head.log_prob(repeated, choice).view(BATCH, 200) - mode[:, None]).max()
    require(above <= 1e-5, f"mode: a sampled choice is more likely by {float(above):.3g} nats")


@law
def mass_sums_to_one(head: Head) -> None:
    """The probabilities of all choices sum to 1."""
    choices = every_choice(head)
    for i, row in enumerate(params_of(head)):
        mass = head.log_prob(row.expand(len(choices), *row.shape), choices).double().exp()
        within(f"exp(log_prob) of all {len(choices)} choices, row {i}", mass.sum(), 1.0, 1e-5)


@law
def densities_integrate_to_one_number(head: Head) -> None:
    """E[q / p] = 1 under p, for any two similar distributions of a head."""
    params, n = params_of(head), 50_000
    near = params + 0.1 * torch.randn(params.shape, generator=rng(7))
    repeated, choice = many(head, params, n)
    ratio = (head.log_prob(near.repeat_interleave(n, 0), choice) - head.log_prob(repeated, choice)).exp().view(BATCH, n)
    room = 4.5 * ratio.std(1) / math.sqrt(n) + 1e-5
    within("mean of exp(log_prob of q − log_prob of p) under sample from p", ratio.mean(1), 1.0, room)


@law
def sampled_frequencies(head: Head) -> None:
    """The frequencies of sampled choices agree with log_prob (χ²)."""
    choices, n = every_choice(head), 50_000
    values = head.choice_spec.values
    assert values is not None
    for i, row in enumerate(params_of(head)):
        expected = n * head.log_prob(row.expand(len(choices), *row.shape), choices).double().exp().numpy()
        drawn = head.sample(row.expand(n, *row.shape), rng()).view(n, -1)
        place = (drawn * values ** torch.arange(drawn.shape[1] - 1, -1, -1)).sum(1)
        counts = np.bincount(place, minlength=len(choices))
        # χ² needs at least 5 expected per cell: rare choices are merged into one cell
        rare = expected < 5
        cells = [np.append(x[~rare], x[rare].sum()) for x in (counts, expected)]
        if cells[1][-1] < 5:
            cells = [np.append(x[:-2], x[-2:].sum()) for x in cells]
        # 10^-5: for a few heads x 5 rows, the false alarm rate is below 10^-3, and the seed is fixed
        p = stats.chisquare(cells[0], cells[1] / cells[1].sum() * n).pvalue
        require(p > 1e-5, f"sample: {n} choices of row {i} do not follow log_prob: p = {p:.2g}, expected above 1e-5")


@law
def entropy_is_the_mean_of_minus_log_prob(head: Head) -> None:
    """H = E[−log p], up to sampling error and the error in `estimates`."""
    params, n = params_of(head), 20_000
    repeated, choice = many(head, params, n)
    surprise = -head.log_prob(repeated, choice).view(BATCH, n)
    # 4.5 standard errors: for 5 rows x a few heads, the false alarm rate is below 10^-4
    room = 4.5 * surprise.std(1) / math.sqrt(n) + _stated(head, "entropy")
    within("entropy against the mean of −log_prob of samples", head.entropy(params), surprise.mean(1), room)


@law
def gradient_of_entropy_against_monte_carlo(head: Head) -> None:
    """∇H = −E[log p ∇log p] along a direction; also for estimates."""
    params, n = params_of(head), 40_000
    step = torch.randn(params.shape, generator=rng(5))
    repeated, choice = many(head, params, n)
    log_prob, along = slope(head, repeated, choice, step.repeat_interleave(n, 0))
    centred = log_prob.view(BATCH, n) - log_prob.view(BATCH, n).mean(1, keepdim=True)
    terms = -centred * along.view(BATCH, n)
    leaf = params.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(head.entropy(leaf).sum(), leaf)
    ours = (gradient * step).flatten(1).sum(1)
    room = _stated(head, "entropy") * step.flatten(1).norm(dim=1)
    within("gradient of entropy", ours, terms.mean(1), 4.5 * terms.std(1) / math.sqrt(n) + room)


@law
def kl_to_itself_is_zero(head: Head) -> None:
    """KL(p, p) = 0."""
    params = params_of(head)
    within("kl(p, p)", head.kl(params, params), 0.0, 1e-6)


@law
def kl_to_itself_has_no_slope(head: Head) -> None:
    """A trust region's step starts here, where any slope would be mistaken for curvature."""
    params = params_of(head)
    leaf = params.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(head.kl(params, leaf).sum(), leaf)
    within("gradient of kl(p, q) in q at q = p", gradient, 0.0, 1e-5)


@law
def kl_agrees_with_monte_carlo(head: Head) -> None:
    """KL(p, q) = E[log p − log q] under p, and it is above 0 for p ≠ q."""
    params, n = params_of(head), 20_000
    other = params + 0.2 * torch.randn(params.shape, generator=rng(7))
    repeated, choice = many(head, params, n)
    gap = (head.log_prob(repeated, choice) - head.log_prob(other.repeat_interleave(n, 0), choice)).view(BATCH, n)
    room = 4.5 * gap.std(1) / math.sqrt(n) + _stated(head, "kl")
    kl = head.kl(params, other)
    within("kl(p, q) against the mean of log_prob(p) − log_prob(q) of samples from p", kl, gap.mean(1), room)
    require((kl > 0).all(), f"kl(p, q) of two distributions: {float(kl.min()):.3g}, expected above 0")


@law
def gradient_of_kl_in_its_first_argument_against_monte_carlo(head: Head) -> None:
    """∇ KL(p || q) = E[(log p − log q) ∇log p]: penalties that keep a policy near another one use it."""
    params, n = params_of(head), 10_000
    step = torch.randn(params.shape, generator=rng(5))
    other = params + 0.05 * torch.randn(params.shape, generator=rng(7))
    repeated, choice = many(head, params, n)
    log_prob, along = slope(head, repeated, choice, step.repeat_interleave(n, 0))
    gap = (log_prob - head.log_prob(other.repeat_interleave(n, 0), choice)).view(BATCH, n)
    terms = (gap - gap.mean(1, keepdim=True)) * along.view(BATCH, n)
    leaf = params.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(head.kl(leaf, other).sum(), leaf)
    ours = (gradient * step).flatten(1).sum(1)
    room = _stated(head, "kl") * step.flatten(1).norm(dim=1)
    within("gradient of kl(p, q) in p", ours, terms.mean(1), 4.5 * terms.std(1) / math.sqrt(n) + room)


@law
def gradient_of_log_prob_against_finite_differences(head: Head) -> None:
    """The gradient of log_prob with respect to params agrees with finite differences."""
    params = params_of(head)
    choice = head.sample(params, rng())
    exact = params.double().requires_grad_()
    choice = choice.double() if choice.is_floating_point() else choice
    differentiable("log_prob", lambda p: head.log_prob(p, choice), exact)


@law
def pathwise_gradient_is_that_of_the_score_function(head: Head) -> None:
    """∇E[f(action)] = E[∇f(action)] = E[f(action) ∇log p], for heads whose actions are differentiable (`pathwise`)."""
    if not head.pathwise:
        raise NotJudged("its actions are not differentiable in params")
    params, n = params_of(head), 20_000
    repeated, step = params.repeat_interleave(n, 0), torch.randn(params.shape, generator=rng(5)).repeat_interleave(n, 0)
    noise = head.noise(len(repeated), rng())

    def outcome(p: Tensor) -> Tensor:
        return torch.sin(2 * unit(head.decode(head.draw(p, noise)))).flatten(1).sum(1)

    both: Any = torch.func.jvp(outcome, (repeated,), (step,))
    value, through = (x.view(BATCH, n) for x in both)
    _, along = slope(head, repeated, head.draw(repeated, noise), step)
    score = (value - value.mean(1, keepdim=True)) * along.view(BATCH, n)
    room = 4.5 * (through - score).std(1) / math.sqrt(n)
    within("gradient of an expectation through the actions", through.mean(1), score.mean(1), room)


@law
def a_head_keeps_nothing_between_calls(head: Head) -> None:
    """The ratio of the same choice under the same params is exactly 1, also after other calls."""
    params = params_of(head)
    choice, other = head.sample(params, rng()), params.roll(1, 0)
    before = head.log_prob(params, choice)
    for ask in (head.entropy, head.mode, head.describe):
        ask(other)
    head.log_prob(other, head.sample(other, rng(1)))
    head.kl(other, params)
    same("log_prob before and after calls with other params", head.log_prob(params, choice), before)


@law
def rows_do_not_depend_on_their_neighbours(head: Head) -> None:
    """A row's log-probability must not depend on its batch: rollouts and minibatches are different batches."""
    params = params_of(head)
    choice = head.sample(params, rng())
    alone = torch.cat([head.log_prob(params[i : i + 1], choice[i : i + 1]) for i in range(BATCH)])
    together = head.log_prob(params, choice)
    within("log_prob of a row alone and among others", alone, together, 1e-5 + 1e-5 * together.abs())


@law
def extreme_params_give_finite_numbers_and_gradients(head: Head) -> None:
    """Every method and its gradient are finite for params of ±50 (±10 if choices are floats)."""
    params = params_of(head)
    for size in (50.0, -50.0):
        extreme = (size * params.sign()).clamp(-50, 50)
        # σ beyond its limits never reaches a method, because forward clamps it; 10 nats is wider than any limit
        extreme = extreme if not head.choice_spec.dtype.is_floating_point else extreme.clamp(-10, 10)
        all_finite(head, extreme, f" at params of {size:+g} times their sign")


@law
def extreme_weights_give_finite_numbers_and_gradients(head: Head) -> None:
    """Every method is finite for everything that forward can return: logits far beyond ±50, σ at both limits."""
    for size in (100.0, -100.0):
        huge = copy.deepcopy(head)
        for parameter in huge.parameters():
            parameter.mul_(size)
        all_finite(huge, params_of(huge), f" at {size:+g} times the weights")


@law
def describe_names_std_and_gives_finite_scalars(head: Head) -> None:
    """`describe` returns finite scalars, including `std`."""
    described = head.describe(params_of(head))
    require("std" in described, f"describe: no 'std'; it returned {', '.join(described) or 'nothing'}")
    for name, value in described.items():
        finite(f"describe: {name!r}", torch.as_tensor(value))
        require(torch.as_tensor(value).numel() == 1, f"describe: {name!r} is {list(value.shape)}, expected one number")


@law
def std_is_that_of_the_decoded_action_in_half_ranges(head: Head) -> None:
    """`std` of `describe` is the standard deviation of the played action, so that heads can be compared."""
    params, n = params_of(head), 40_000
    repeated, choice = many(head, params / params.abs().max().clamp_min(1), n)
    measured = float(unit(head.decode(choice)).view(BATCH, n, -1, JOINTS).std(1).mean())
    said = float(head.describe(repeated.view(BATCH, n, *params.shape[1:])[:, 0])["std"])
    # a head with tails outside the bounds may report its own, wider σ as `std`: clipping can only narrow it
    what = f"describe: std is {said:.4g}, but sampled actions have {measured:.4g} half-ranges"
    require(measured <= said * 1.02, what)
    require(measured > 0.3 * said, what)


@law
def widen_makes_it_as_wide_as_asked_where_it_was(head: Head) -> None:
    """Widen and narrow again, as `--prior-std` and the branches of `diagnose` do; the mode must not move."""
    head, features, widths = copy.deepcopy(head), torch.randn(40, FEATURES, generator=rng(1)), []
    for parameter in head.parameters():
        parameter.mul_(0.5)  # keeps means of Gaussians within the bounds, where clipping does not hide the widening
    for std in (0.1, 0.4, 0.1):
        before = unit(head.decode(head.mode(head(features)))[:, 0])
        try:
            head.widen(std, features)
        except InputError as error:
            raise NotJudged(str(error)) from None
        # in most states: if two modes are nearly equal or near each other, the other one may become the highest
        shift = float((unit(head.decode(head.mode(head(features)))[:, 0]) - before).abs().mean(1).median())
        require(shift < 0.2, f"widen({std}): moves the mode by {shift:.2g} half-ranges")
        widths.append(float(head.width(head(features))))
    narrow, wide, again = widths
    fits = wide > 0.36 and narrow < 0.7 * wide and abs(again - narrow) < 0.3 * narrow
    require(fits, f"widen to 0.1, 0.4 and 0.1: std is {narrow:.2g}, {wide:.2g} and {again:.2g}")


# joints 0 and 1 swap; either the sign of joint 2 flips, or the signs of the two that swap
MIRRORS = [(torch.tensor([1, 0, 2]), torch.tensor(sign)) for sign in ([1, 1, -1], [-1, -1, 1])]


def _mirrored(head: Head) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]:
    """For each of MIRRORS: params, and functions that mirror params and actions."""
    if not head.mirrors():
        raise NotJudged("it does not define `mirror`, so --symmetric refuses it")
    for order, sign in MIRRORS:
        head.symmetrise(order, sign)
        params, mirror = params_of(head), lambda params, by=(order, sign): head.mirror(params, *by)
        shaped("mirror", mirror(params), "params' shape", params.shape, params.dtype)
        yield params, mirror, lambda action, order=order, sign=sign: head.to_bounds(unit(action)[..., order] * sign)


@law
def mirror_is_linear_and_its_own_inverse(head: Head) -> None:
    """A symmetric policy averages params with mirrored params; the average is only mirrored under this condition."""
    for params, mirror, _ in _mirrored(head):
        same("mirror of the mirrored params", mirror(mirror(params)), params)
        image, mean = mirror(params), mirror(0.5 * (params + params.roll(1, 0)))
        within("mirror of the mean of two", mean, 0.5 * (image + image.roll(1, 0)), 1e-5)


@law
def mirrored_choices_are_as_likely(head: Head) -> None:
    """log π(M a | M params) = log π(a | params), for samples and for the mode."""
    for params, mirror, of in _mirrored(head):
        repeated, choice = many(head, params, 50)
        choice = head.encode(head.decode(choice))  # clips values beyond a bound in both
        action = head.decode(choice)
        rows = (unit(of(action)) - unit(action)).abs().flatten(1).amax(1) > 1e-3  # others may be encoded in two ways
        repeated, choice, action = repeated[rows], choice[rows], action[rows]
        there, likely = head.log_prob(mirror(repeated), head.encode(of(action))), head.log_prob(repeated, choice)
        within("log_prob of mirrored choices under mirrored params", there, likely, 1e-3 + 1e-4 * likely.abs())
        mode, expected = head.decode(head.mode(mirror(params))), of(head.decode(head.mode(params)))
        within("mode of mirrored params, in half-ranges", unit(mode), unit(expected), 1e-4)
