"""Every law fails for a part with a defect, and its message has the measured value."""

from typing import Any

import pytest
import torch
from pgcontrol_envs.task import TaskError
from torch import nn

from pgcontrol.critics.mse import MSE
from pgcontrol.heads import categorical
from pgcontrol.heads.gaussian import Gaussian
from pgcontrol.laws import a_head, critics, estimators, heads, tasks, tokenizers, trunks
from pgcontrol.laws.base import Broken, laws_of
from pgcontrol.learning.advantages import GAE, Estimate
from pgcontrol.templates.head import FewValues
from pgcontrol.tokenizers.kmeans import KMeans
from pgcontrol.trunks.mlp import MLP
from tests.laws.spoilt_tasks import TASKS, counting


def twice_as_steep(method):
    """The same values with twice the gradient."""

    def steep(self, *args):
        value = method(self, *args)
        return value + (value - value.detach())

    return steep


def plus(method, more):
    """What a method returns, and more."""
    return lambda self, *args: method(self, *args) + more(*args)


HEADS: dict[str, tuple[type, dict[str, Any], str]] = {
    "shapes": (Gaussian, {"entropy": lambda self, p: p.sum()}, r"entropy returned \[\] .* \[B\] = \[5\] float32"),
    "samples_follow_the_generator_alone": (
        Gaussian,
        {"draw": lambda self, p, noise: p[:, 0] + torch.randn(p[:, 0].shape)},
        "sample: twice with generators of one seed: 15 of 15 numbers differ",
    ),
    "decode_is_within_bounds": (
        Gaussian,
        {"decode": lambda self, choice: (self.centre + self.half_range * choice).unsqueeze(1)},
        r"decode: \d+ of 2250 numbers lie outside",
    ),
    "encode_gives_back_what_decode_can_say": (
        Gaussian,
        {"encode": lambda self, action: 0.9 * self.to_unit(action[:, 0])},
        r"decode\(encode\(action\)\)",
    ),
    "encode_is_the_nearest_choice": (FewValues, {"encode": lambda self, a: a[:, 0].long() * 0}, "decodes nearer"),
    "mode_is_a_possible_choice": (Gaussian, {"mode": lambda self, p: p[:, 0] * torch.nan}, "log_prob of the mode: 5"),
    "mode_is_the_likeliest_choice": (Gaussian, {"mode": lambda self, p: p[:, 0] + p[:, 1].exp()}, "more likely by"),
    "mass_sums_to_one": (
        FewValues,
        {"log_prob": plus(FewValues.log_prob, lambda *_: 0.01)},
        "125 choices, row 0: 1.01",
    ),
    "densities_integrate_to_one_number": (
        Gaussian,
        {"log_prob": plus(Gaussian.log_prob, lambda p, choice: p[:, 0].sum(-1))},
        "mean of exp",
    ),
    "sampled_frequencies": (FewValues, {"draw": lambda self, p, race: categorical.draw(1.2 * p, race)}, "p = "),
    "entropy_is_the_mean_of_minus_log_prob": (Gaussian, {"entropy": plus(Gaussian.entropy, lambda p: 0.1)}, "entropy"),
    "gradient_of_entropy_against_monte_carlo": (
        Gaussian,
        {"entropy": twice_as_steep(Gaussian.entropy)},
        "gradient of entropy: ",
    ),
    "kl_to_itself_is_zero": (Gaussian, {"kl": plus(Gaussian.kl, lambda p, q: 0.01)}, r"kl\(p, p\): 0.01 at \[0\]"),
    "kl_to_itself_has_no_slope": (
        Gaussian,
        {"kl": plus(Gaussian.kl, lambda p, q: (q - q.detach()).sum((1, 2)))},
        "gradient of kl.*expected 0 to within 1e-05",
    ),
    "kl_agrees_with_monte_carlo": (Gaussian, {"kl": lambda self, p, q: 2 * Gaussian.kl(self, p, q)}, r"kl\(p, q\)"),
    "gradient_of_kl_in_its_first_argument_against_monte_carlo": (
        Gaussian,
        {"kl": twice_as_steep(Gaussian.kl)},
        r"gradient of kl\(p, q\) in p",
    ),
    "gradient_of_log_prob_against_finite_differences": (
        Gaussian,
        {"log_prob": twice_as_steep(Gaussian.log_prob)},
        "log_prob: Jacobian mismatch",
    ),
    "pathwise_gradient_is_that_of_the_score_function": (
        Gaussian,
        {"draw": lambda self, p, noise: Gaussian.draw(self, p.detach(), noise) + 0 * p[:, 0]},
        "gradient of an expectation through the actions",
    ),
    "a_head_keeps_nothing_between_calls": (Gaussian, {"log_prob": counting(Gaussian.log_prob)}, "5 of 5 numbers"),
    "rows_do_not_depend_on_their_neighbours": (
        Gaussian,
        {"log_prob": plus(Gaussian.log_prob, lambda p, choice: p.mean())},
        "log_prob of a row alone",
    ),
    "extreme_params_give_finite_numbers_and_gradients": (
        FewValues,
        {"entropy": plus(FewValues.entropy, lambda p: 1 / (p.abs().amax((1, 2)) < 49).float())},
        r"entropy: 5 of 5 numbers are infinite or NaN at params of \+50",
    ),
    "extreme_weights_give_finite_numbers_and_gradients": (
        FewValues,
        {"entropy": lambda self, p: -(p.softmax(-1) * p.softmax(-1).log()).sum((1, 2))},
        r"infinite or NaN at \+100 times the weights",
    ),
    "describe_names_std_and_gives_finite_scalars": (
        Gaussian,
        {"describe": lambda self, p: {"spread": p.mean()}},
        "describe: no 'std'; it returned spread",
    ),
    "std_is_that_of_the_decoded_action_in_half_ranges": (
        FewValues,
        {"describe": lambda self, p: {"std": 0.5 * FewValues.describe(self, p)["std"]}},
        "describe: std is .* but sampled actions have",
    ),
    "widen_makes_it_as_wide_as_asked_where_it_was": (
        Gaussian,
        {"widen": lambda self, std, features: None},
        "widen to 0.1, 0.4 and 0.1: std is",
    ),
    "mirror_is_linear_and_its_own_inverse": (
        Gaussian,
        {"mirror": lambda self, p, order, sign: Gaussian.mirror(self, p, order, sign) ** 2},
        "mirror of the mirrored params: 30 of 30",
    ),
    "mirrored_choices_are_as_likely": (Gaussian, {"mirror": lambda self, p, o, s: p[..., o]}, "log_prob of mirrored"),
}


def stretched(self, target):
    for weight in self.parameters():
        weight.data.mul_(1.5)


def remembering(self, target):
    self.shift = float(target.mean())


SHIFTED = {"adapt": remembering, "value": lambda self, output: MSE.value(self, output) + getattr(self, "shift", 0.0)}

CRITICS: dict[str, tuple[type, dict[str, Any], str]] = {
    "shapes": (MSE, {"loss": lambda self, o, t: MSE.loss(self, o, t).mean()}, r"loss returned \[\] float32"),
    "the_least_loss_is_at_the_target": (MSE, {"value": lambda self, o: 2 * MSE.value(self, o)}, "value after 400"),
    "the_value_of_a_lottery_is_its_mean": (
        MSE,
        {"loss": lambda self, o, t: (MSE.value(self, o) - t).abs()},
        r"returns 1, 1, 1 and 5: (1\.0|0\.9)",
    ),
    "gradient_of_the_loss_against_finite_differences": (MSE, {"loss": twice_as_steep(MSE.loss)}, "loss: Jacobian"),
    "returns_of_any_size_give_finite_numbers_and_gradients": (
        MSE,
        {"loss": lambda self, o, t: (MSE.value(self, o) - t) ** 10},
        "loss: 2 of 4 numbers are infinite or NaN before adapt",
    ),
    "adapting_does_not_move_predictions": (MSE, {"adapt": stretched}, r"value after adapt\(\[-60.0, 30.0\]\)"),
    "adapting_again_changes_nothing": (MSE, {"adapt": stretched}, "adapt a second time"),
    "weights_round_trip": (MSE, SHIFTED, "value after load_state_dict"),
    "compiled_and_eager_agree_before_and_after_adapting": (MSE, SHIFTED, "compiled and eager"),
}


class Idle(MLP):
    """Has a weight without an effect."""

    def __init__(self, inputs, hidden, options):
        super().__init__(inputs, hidden, options)
        self.register_parameter("idle", nn.Parameter(torch.ones(1)))


TRUNKS: dict[str, tuple[type, dict[str, Any], str]] = {
    "features_are_of_the_size_said_and_each_row_is_its_own": (
        MLP,
        {"forward": lambda self, x: MLP.forward(self, x - x.mean(0))},
        "features of a row alone",
    ),
    "every_weight_learns": (Idle, {}, "the weight 'idle' does not change"),
}


def unrepeatable(self, chunks):
    KMeans._fit(self, chunks)
    stream = torch.Generator()
    stream.seed()
    self.table += 1e-3 * torch.randn(self.table.shape, generator=stream)


def forgetful(self, chunks):
    KMeans._fit(self, chunks)
    self.scale = 0.9


def many_only(self, chunks):
    KMeans._fit(self, chunks)
    if len(chunks) < self.codes:
        self.table.fill_(torch.nan)


TOKENIZERS: dict[str, tuple[type, dict[str, Any], str]] = {
    "shapes_and_ranges": (
        KMeans,
        {"_encode": lambda self, x: KMeans._encode(self, x) + self.codes},
        r"encode: codes from \d+ to \d+, expected 0 to",
    ),
    "every_row_of_codes_decodes_within_the_bounds": (
        KMeans,
        {"decode": lambda self, codes: 3 * self.reconstruct(codes)},
        "expected within ±1",
    ),
    "decoding_is_row_by_row": (
        KMeans,
        {"reconstruct": lambda self, codes: KMeans.reconstruct(self, codes) - 0.01 * codes.float().mean()},
        "decode of rows alone and together",
    ),
    "encode_after_decode_gives_codes_of_the_same_action": (
        KMeans,
        {"_encode": lambda self, x: (KMeans._encode(self, x) + 1) % self.codes},
        r"decode\(encode\(decode\(codes\)\)\)",
    ),
    "same_data_and_seed_same_codes_to_the_bit": (KMeans, {"_fit": unrepeatable}, "fit twice with one seed: 'table'"),
    "reconstruction_is_better_than_the_mean_action": (
        KMeans,
        {"_encode": lambda self, x: 0 * KMeans._encode(self, x)},
        "error .*, expected below",
    ),
    "round_trip_through_a_folder_is_bitwise": (
        KMeans,
        {
            "_fit": forgetful,
            "reconstruct": lambda self, codes: getattr(self, "scale", 1) * KMeans.reconstruct(self, codes),
        },
        "decode after saving and loading",
    ),
    "other_sizes_are_refused_by_name": (
        KMeans,
        {"_encode": lambda self, x: torch.zeros(len(x), 1, dtype=torch.int64), "_check": lambda self, x: None},
        r"encode of \[5, 2, 7\]: nothing raised",
    ),
    "moments_are_those_of_the_decoded_action": (
        KMeans,
        {"moments": lambda self, p: [x + 0.2 for x in KMeans.moments(self, p)]},
        "moments: mean",
    ),
    "fewer_chunks_than_codes_fit": (KMeans, {"_fit": many_only}, "after a fit to 3 chunks"),
}


def greedy(self, seen):
    advantage, target = GAE.__call__(self, seen)
    seen.reward.mul_(2)
    return Estimate(advantage, target)


def whitened(self, seen):
    advantage, target = GAE.__call__(self, seen)
    return Estimate((advantage - advantage.mean()) / advantage.std(), target)


ESTIMATORS: dict[str, tuple[type, dict[str, Any], str]] = {
    "shapes": (
        GAE,
        {"__call__": lambda self, seen: GAE.__call__(self, seen)._replace(target=seen.value[0])},
        r"__call__ \(target\) returned \[8\] float32; expected \[T, N\] = \[12, 8\]",
    ),
    "it_is_a_pure_function": (GAE, {"__call__": greedy}, "changes trajectories.reward"),
    "nothing_of_the_next_episode_reaches_this_one": (
        GAE,
        {"__call__": lambda self, seen: GAE.__call__(self, seen._replace(truncated=torch.zeros_like(seen.truncated)))},
        "the advantage up to step 5, truncated",
    ),
    "rewards_and_values_count": (
        GAE,
        {"__call__": lambda self, seen: GAE.__call__(self, seen)._replace(target=torch.ones_like(seen.value))},
        "the target from step 6 on is the same",
    ),
    "corrected_for_no_drift_it_is_the_same": (
        GAE,
        {"corrected": lambda self, seen, drift: GAE.corrected(self, seen, 0.5 * drift)},
        "corrected for a drift of 1: the advantage",
    ),
    "equal_rewards_give_finite_numbers": (GAE, {"__call__": whitened}, "the advantage: 96 of 96 .* every reward is 0"),
}


ALL = [
    (heads, HEADS),
    (critics, CRITICS),
    (trunks, TRUNKS),
    (tokenizers, TOKENIZERS),
    (estimators, ESTIMATORS),
    (tasks, TASKS),
]
MAKE = {module: module.make for module, _ in ALL[1:]} | {
    heads: lambda cls: a_head.make(cls, {}),
    tokenizers: lambda cls: tokenizers.make(cls, 2, {"codes": 16}),
}
CASES = [
    pytest.param(
        module,
        law,
        *planted,
        id=f"{module.__name__.rpartition('.')[2]}-{law}",
        marks=[pytest.mark.slow] if "compiled" in law else [],
    )
    for module, table in ALL
    for law, planted in table.items()
]


@pytest.mark.parametrize(("module", "table"), ALL, ids=lambda x: getattr(x, "__name__", ""))
def test_every_law_has_a_part_that_breaks_it(module, table):
    assert list(table) == list(laws_of(module))


@pytest.mark.parametrize(("module", "law", "base", "methods", "says"), CASES)
def test_a_spoilt_part_breaks_it(module, law, base, methods, says, monkeypatch):
    monkeypatch.setattr(tokenizers.files, "kinds", lambda: {"kmeans": spoilt})
    spoilt = type("Spoilt", (base,), {"__module__": __name__} | methods)
    part = MAKE[module](spoilt)
    with pytest.raises((Broken, TaskError), match=says) as error:
        laws_of(module)[law](part)
    assert "\n" not in str(error.value)
