"""`widen`, of every head: what a counterfactual does to a policy that has become narrow."""

import pytest
import torch

from tests.heads.test_laws import CASES, FEATURES, HIGH, LOW, make, rng


def unit_actions(head, choice):
    """First actions of choices, in half-ranges."""
    return (head.decode(choice)[:, 0] - LOW) / (HIGH - LOW) * 2 - 1


@pytest.mark.parametrize("case", [case.values for case in CASES], ids=[case.id for case in CASES])
def test_widen_makes_every_joint_as_wide_as_asked_where_it_was(case):
    """From a narrow policy to a wide one and back: as wide as said, at least, and its mode stays."""
    head, features = make(case[0], **case[1]), torch.randn(40, FEATURES, generator=rng(1))
    with torch.no_grad():
        for parameter in head.parameters():
            parameter *= 0.5  # means of Gaussians within the bounds, where widening is not clipped away
    widths = []
    for std in (0.1, 0.4, 0.1):
        before = unit_actions(head, head.mode(head(features)))
        head.widen(std, features)
        # of most states: where two modes are nearly as high, the other one may win
        shift = (unit_actions(head, head.mode(head(features))) - before).abs().mean(1).median()
        said = head.describe(head(features))
        widths.append(float(said.get("component_std", said["std"])))
        assert shift < 0.2  # modes nearer to each other than their width become one between them
    assert widths[1] > 0.36
    assert widths[0] < 0.7 * widths[1]
    assert widths[2] == pytest.approx(widths[0], rel=0.3)
