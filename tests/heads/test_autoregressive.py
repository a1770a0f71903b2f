"""`autoregressive` against the sum over all choices."""

import itertools

import pytest
import torch

from pgcontrol.heads import quadrature
from pgcontrol.heads.autoregressive import Autoregressive
from pgcontrol.heads.rows import Chain

LOW, HIGH = -torch.ones(3), torch.ones(3)


def head(joints: int = 3, **options) -> Autoregressive:
    torch.manual_seed(0)
    return Autoregressive(4, LOW[:joints], HIGH[:joints], Autoregressive.Options(**options)).requires_grad_(False)


def space(joints: int, bins: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(bins), repeat=joints)))


def params(chain: Autoregressive, size: float = 0.7) -> torch.Tensor:
    rows = chain(torch.zeros(1, 4))
    return rows + size * torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))


def test_left_left_and_right_right():
    """Fork's correlation: two joints both left or both right, with one coupling, W[1, 0] of degree 1 with 1."""
    chain = head(2, bins=11, degree=1)
    p = torch.zeros(1, 2, 11 + 2)
    p[0, :, [0, 10]] = 8.0  # each joint alone: one edge or the other
    p[0, 1, 11] = 8.0
    choice = chain.sample(p.expand(4000, 2, 13), torch.Generator().manual_seed(0))
    action = chain.decode(choice)[:, 0]
    assert (action[:, 0] == action[:, 1]).float().mean() > 0.99
    assert 0.45 < float((action[:, 0] > 0).float().mean()) < 0.55


def test_full_degree_holds_any_pair_of_joints():
    """K − 1 polynomials and the constant span all tables: two joints always equal, in any of 5 bins alike."""
    chain = head(2, bins=5, degree=4)
    wanted = 20.0 * torch.eye(5)  # logits of joint 1 for each choice of joint 0
    coupling = chain.basis[0].T @ wanted @ chain.basis[0] / 25
    p = torch.zeros(1, 2, 5 + 4 * 2 * 4)
    p[0, 1, 5:].view(4, 2, 4)[:, 0] = coupling.T
    choices = space(2, 5)
    mass = chain.log_prob(p.expand(25, *p.shape[1:]), choices).exp()
    assert torch.allclose(mass[choices[:, 0] == choices[:, 1]], torch.full((5,), 0.2), atol=1e-3)


def test_later_joints_say_nothing_to_earlier_ones():
    chain = head(bins=5)
    p, choice = params(chain), torch.tensor([[1, 2, 3]])
    leaf = p.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(chain.log_prob(leaf, choice).sum(), leaf)
    heard = gradient[0, :, 5:].view(3, 2, 3, 2).abs().sum((1, 3)) > 0
    assert torch.equal(heard, torch.ones(3, 3).tril(-1).bool())


@pytest.mark.parametrize("joints", [1, 2, 3])
def test_entropy_and_its_gradient_converge_to_the_whole_sum(joints, monkeypatch):
    """With many prefixes instead of 8; so only their number is approximate, also in the gradient."""
    monkeypatch.setattr(Chain, "FEW", 4096)
    chain = head(joints, bins=5)
    chain.uniforms = torch.nn.Buffer(quadrature.uniforms(4096, joints), persistent=False)
    choices = space(joints, 5)
    leaf = params(chain).requires_grad_()
    log_p = chain.log_prob(leaf.expand(len(choices), *leaf.shape[1:]), choices)
    exact = -(log_p.exp() * log_p).sum()
    ours = chain.entropy(leaf).sum()
    assert float(ours.detach()) == pytest.approx(float(exact.detach()), abs=1e-3)
    (slope,), (slope_,) = (torch.autograd.grad(x, leaf) for x in (exact, ours))
    assert (slope - slope_).norm() < 0.01 * slope.norm() + 1e-5


@pytest.mark.parametrize("joints", [1, 2, 3])
def test_kl_against_the_whole_sum(joints):
    chain = head(joints, bins=5)
    choices = space(joints, 5)
    old = params(chain)
    new = old + 0.2 * torch.randn(old.shape, generator=torch.Generator().manual_seed(2))
    log_old, log_new = (chain.log_prob(p.expand(len(choices), *p.shape[1:]), choices) for p in (old, new))
    exact = float((log_old.exp() * (log_old - log_new)).sum())
    room = 1e-5 if joints == 1 else 0.15 * exact
    assert float(chain.kl(old, new)) == pytest.approx(exact, abs=room)


def test_mode_is_greedy():
    chain = head(bins=5)
    p = params(chain)
    mode = chain.mode(p)[0]
    for j in range(3):
        others = mode.repeat(5, 1)
        others[:, j] = torch.arange(5)
        # joint j's own conditional: compare before later joints have their say, through a chain cut after j
        short = Autoregressive(4, LOW[: j + 1], HIGH[: j + 1], Autoregressive.Options(bins=5))
        cut = p[:, : j + 1]
        base, rest = cut[..., :5], cut[..., 5:].view(1, j + 1, 2, 3, 2)[:, :, :, : j + 1].flatten(2)
        log_prob = short.log_prob(torch.cat((base, rest), -1).expand(5, -1, -1), others[:, : j + 1])
        assert log_prob.argmax() == mode[j]


def test_gradient_of_kl_follows_the_prefixes_too():
    """Against the sum over all choices; 0.27 off, on average, if the prefixes were taken as given."""
    chain = head(3, bins=3)
    every, off = space(3, 3), []
    for seed in range(20):
        rng = torch.Generator().manual_seed(seed)
        p = torch.randn(1, *params(chain).shape[1:], generator=rng)
        q, leaf = p + 0.5 * torch.randn(p.shape, generator=rng), p.clone().requires_grad_()
        log_p, log_q = (chain.log_prob(x.expand(len(every), *p.shape[1:]), every) for x in (leaf, q))
        (exact,) = torch.autograd.grad((log_p.exp() * (log_p - log_q)).sum(), leaf)
        (ours,) = torch.autograd.grad(chain.kl(leaf, q).sum(), leaf)
        off.append(float((ours - exact).norm() / exact.norm()))
    assert sum(off) / len(off) < 0.13
