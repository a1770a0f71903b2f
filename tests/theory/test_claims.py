"""Every claim of the theory holds, and the MDP on which it is measured is correct."""

from xml.etree import ElementTree

import pytest
import torch

from pgcontrol.theory import claims, mdp, show
from pgcontrol.theory.destruction import destruction

CHECKS = claims.CLAIMS | {"destruction": destruction}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def results() -> dict[str, claims.Result]:
    return {}


@pytest.mark.parametrize("name", CHECKS)
def test_the_claim_holds(name, results):
    results[name] = CHECKS[name]()
    assert results[name].findings
    for finding in results[name].findings:
        assert finding.holds, finding


@pytest.mark.parametrize("name", CHECKS)
def test_every_claim_names_its_equation(name):
    text = CHECKS[name].__doc__ or ""
    assert any(word in text for word in ("eq.", "theorem", "section")), text


def test_all_paths_are_all_and_the_gradient_is_that_of_the_value():
    world = mdp.small()
    theta = mdp.some_policy(world)
    paths = mdp.every_path(world, theta)
    assert len(paths.weight) == 12**4
    assert float(paths.weight.sum()) == pytest.approx(1, abs=1e-12)
    # J by backward induction, another way than by paths
    leaf = theta.clone().requires_grad_()
    value = world.start @ mdp.exact_value(world, leaf)[0]
    (gradient,) = torch.autograd.grad(value, leaf)
    assert float((paths.weight * mdp.total_reward(world, paths)).sum()) == pytest.approx(
        float(value.detach()), abs=1e-12
    )
    assert torch.allclose(gradient.flatten(), mdp.exact_gradient(world, theta), atol=1e-12)


def test_sampled_paths_follow_the_dynamics():
    world = mdp.small()
    theta = mdp.some_policy(world)
    drawn = mdp.sample(world, theta, 50_000, torch.Generator().manual_seed(0))
    exact = float((mdp.every_path(world, theta).weight * mdp.total_reward(world, mdp.every_path(world, theta))).sum())
    total = mdp.total_reward(world, drawn)
    assert abs(float(total.mean()) - exact) < 4 * float(total.std()) / 50_000**0.5


def test_a_claim_that_fails_is_reported_and_ends_in_an_error(monkeypatch, capsys, tmp_path):
    false = claims.Result([claims.Finding("the moon is cheese", "rock", "cheese", False)])
    monkeypatch.setattr(show, "CLAIMS", {})
    monkeypatch.setattr(show, "destruction", lambda: false)
    assert show.show(None) == 1
    assert "FAILS" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_plots_are_drawn(results, monkeypatch, tmp_path):
    for name in CHECKS:
        if name not in results:
            results[name] = CHECKS[name]()
    monkeypatch.setattr(show, "CLAIMS", {name: lambda name=name: results[name] for name in claims.CLAIMS})
    monkeypatch.setattr(show, "destruction", lambda: results["destruction"])
    assert show.show(tmp_path / "new" / "folder") == 0
    files = list((tmp_path / "new" / "folder").iterdir())
    assert {f.name for f in files} == {
        f"{name}.svg" for name in ("baseline", "racing", "spectrum", "groups", "destruction")
    }
    for file in files:
        chart = ElementTree.parse(file).getroot()
        marks = [e for e in chart.iter() if e.get("class") in ("line", "estimate")]
        assert len(marks) >= 2, file
