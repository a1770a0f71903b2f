"""Checkpoints: a round trip to the bit, whole or not there, and one line for one that is neither."""

import json

import pytest
import torch

from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint, config
from pgcontrol.runs.load import load, make_policy, restore
from tests.learning.worlds import Clockwork, spec

TENSORS = {
    "a": torch.randn(3, 4),
    "b": torch.arange(5),
    "c": torch.tensor([True, False]),
    "d": torch.zeros((), dtype=torch.float64),
}
META = {"steps": 7, "stream": {"state": 2**100}, "rate": 0.1}


def test_round_trip(tmp_path):
    checkpoint.save(tmp_path / "step_7", TENSORS, META)
    tensors, meta = checkpoint.load(tmp_path / "step_7")
    assert meta == META
    assert all(torch.equal(tensors[k], v) and tensors[k].dtype == v.dtype for k, v in TENSORS.items())
    assert sorted(f.name for f in (tmp_path / "step_7").iterdir()) == ["meta.json", "tensors.safetensors"]


def test_a_failed_save_leaves_the_old_one(tmp_path):
    checkpoint.save(tmp_path / "step_7", TENSORS, META)
    with pytest.raises(TypeError):
        checkpoint.save(tmp_path / "step_7", TENSORS, {"not JSON": object()})
    assert checkpoint.load_meta(tmp_path / "step_7") == META


def test_a_save_clears_what_a_killed_one_left(tmp_path):
    left = tmp_path / ".step_000000100.99"
    left.mkdir()
    (left / "tensors.safetensors").touch()
    checkpoint.save(tmp_path / "step_000000200", {"x": torch.ones(2)}, {})
    assert [f.name for f in tmp_path.iterdir()] == ["step_000000200"]


def test_newest_by_step_not_by_name(tmp_path):
    for steps in (5, 900, 1_000_000_000):
        checkpoint.save(tmp_path / "checkpoints" / f"step_{steps}", TENSORS, META)
    assert checkpoint.latest(tmp_path).name == "step_1000000000"
    assert checkpoint.latest(tmp_path / "checkpoints" / "step_5").name == "step_5"


def broken(folder, how):
    checkpoint.save(folder, TENSORS, META)
    meta, tensors = folder / "meta.json", folder / "tensors.safetensors"
    if how == "truncated tensors":
        tensors.write_bytes(tensors.read_bytes()[:40])
    elif how == "no tensors":
        tensors.unlink()
    elif how == "garbage meta":
        meta.write_text("{")
    elif how == "foreign meta":
        meta.write_text("[1, 2]")
    elif how == "no schema":
        meta.write_text("{}")
    elif how == "other schema":
        meta.write_text(json.dumps({"schema": 99}))


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("truncated tensors", "or is damaged"),
        ("no tensors", "tensors.safetensors is missing"),
        ("garbage meta", "or is damaged"),
        ("foreign meta", "or is damaged"),
        ("no schema", "or is damaged"),
        ("other schema", "schema 99; this pgcontrol reads schema 2"),
    ],
)
def test_a_broken_checkpoint_gets_one_line(how, line, tmp_path):
    folder = tmp_path / "checkpoints" / "step_7"
    broken(folder, how)
    with pytest.raises(InputError, match=line) as caught:
        load(tmp_path)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_to_load(tmp_path):
    with pytest.raises(InputError, match="no such run or checkpoint folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no checkpoint: it is not a run folder"):
        load(tmp_path)


def test_a_foreign_checkpoint_is_refused_by_the_tensor_that_does_not_fit(tmp_path):
    env = Clockwork(1, 1, False)
    policy = make_policy(spec(env), seed=0)
    other = make_policy(spec(env) | {"hidden": [8, 16]}, seed=0)
    saved = {f"policy.{k}": v for k, v in other.state_dict().items()}
    with pytest.raises(
        InputError, match=r"tensor policy.actor_trunk.0.weight is of shape \(8, 2\); expected shape \(16, 2\)"
    ):
        restore(policy, saved, tmp_path)
    with pytest.raises(InputError, match="is missing"):
        restore(policy, {}, tmp_path)


def test_each_part_s_options_are_read_once(monkeypatch):
    read, parts = config.read_part, []
    monkeypatch.setattr("pgcontrol.runs.load.read_part", lambda part, *rest: parts.append(part) or read(part, *rest))
    make_policy(spec(Clockwork(1, 1, False)), seed=3)
    assert sorted(parts) == sorted(set(parts))


def test_weights_come_from_the_seed_alone():
    world = spec(Clockwork(1, 1, False))
    first = make_policy(world, seed=3)
    torch.manual_seed(123)
    state = torch.get_rng_state()
    assert torch.equal(first.theta, make_policy(world, seed=3).theta)
    assert torch.equal(state, torch.get_rng_state())  # and the caller's generator is left alone
    assert not torch.equal(first.theta, make_policy(world, seed=4).theta)
