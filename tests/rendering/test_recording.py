import json
from dataclasses import replace

import numpy as np
import pytest

from pgcontrol.rendering.recording import FORMAT, ActionDistributions, Recording
from tests.rendering.worlds import saved

REWARDS = np.array([1.0, -0.5, 0.25])
STATES = Recording("Hopper-v5", 3, 0.008, REWARDS, qpos=np.arange(24.0).reshape(4, 6), head="binned", step=7, run="r")
ACTIONS = Recording("gym:Pusher-v5", 3, 0.05, REWARDS, actions=np.ones((3, 7), np.float32), algorithm="ppo")

DISTRIBUTIONS = ActionDistributions(
    columns=np.arange(36, dtype=np.uint8).reshape(2, 2, 9),
    spread=np.ones((2, 2), np.float32),
    chosen=np.zeros((2, 2), np.float32),
    joints=("hip", "knee"),
    discrete=True,
)
SHOWN = replace(STATES, distributions=DISTRIBUTIONS)
OWN = replace(STATES, own={"geom_pos": np.ones((5, 3)), "opt.gravity": np.zeros(3)})
METERS = replace(OWN, meters={"forwards m/s": np.arange(8.0).reshape(4, 2), "yaw rad/s": np.zeros((4, 2))})


def fields(recording: Recording) -> dict:
    flat = dict(vars(recording))
    shown, own, meters = (flat.pop(name) for name in ("distributions", "own", "meters"))
    return flat | own | meters | (shown._asdict() if shown else {})


@pytest.mark.parametrize("recording", [STATES, ACTIONS, SHOWN, OWN, METERS])
def test_round_trip_is_exact(recording, tmp_path):
    found = fields(Recording.load(saved(recording, tmp_path)))
    assert found.keys() == fields(recording).keys()
    for name, value in fields(recording).items():
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype
            np.testing.assert_array_equal(found[name], value)
        else:
            assert found[name] == value
    assert [f.name for f in tmp_path.iterdir()] == ["one.npz"]


def of(**change) -> dict:
    return {"distributions": DISTRIBUTIONS._replace(**change)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qpos": np.zeros((3, 6))}, r"qpos: expected shape \[4, ·\] for 3 rewards, got \(3, 6\)"),
        ({"qpos": None}, "qpos: required in a recording of Hopper-v5"),
        ({"meters": {"yaw": np.zeros((3, 2))}}, r"meters: yaw: expected shape \[4, 2\] for 3 rewards, got \(3, 2\)"),
        ({"env_id": "gym:Hopper-v5"}, "actions: required in a recording of gym:Hopper-v5"),
        ({"rewards": np.zeros(0)}, r"rewards: expected shape \[T\]"),
        ({"control_dt": 0.0}, "control_dt: expected a number of seconds above 0"),
        ({"control_dt": float("nan")}, "control_dt"),
        (of(columns=np.zeros((4, 2, 9), np.uint8)), r"columns: expected \[S = 4 ≤ 3, 2, ...\] .* got \(4, 2, 9\)"),
        (of(joints=("a",)), r"columns: expected \[S = 2 ≤ 3, 1, ...\] .* got \(2, 2, 9\)"),
        (of(spread=np.zeros((2, 1))), r"spread: expected \[S = 2 ≤ 3, 2, ...\] .* got \(2, 1\)"),
        (of(chosen=None), r"chosen: expected .* got \(\)"),
    ],
)
def test_a_recording_that_cannot_be_filmed_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(STATES, **change)


def test_a_recording_of_before_is_read(tmp_path):
    """Arrays and a header of flat fields, joints among them also where no distributions were kept."""
    header = {"format": FORMAT, "env_id": "Hopper-v5", "seed": 3, "control_dt": 0.008, "head": "binned", "step": 7}
    header |= {"algorithm": "ppo", "run": "r", "joints": [], "discrete": False}
    plain, shown = tmp_path / "plain.npz", tmp_path / "shown.npz"
    states = {"rewards": REWARDS, "qpos": np.zeros((4, 6)), "actions": np.zeros((3, 3))}
    _npz(plain, header=np.array(json.dumps(header)), **states)
    assert Recording.load(plain).distributions is None
    arrays = {name: value for name, value in DISTRIBUTIONS._asdict().items() if isinstance(value, np.ndarray)}
    header |= {"joints": ["hip", "knee"], "discrete": True}
    _npz(shown, header=np.array(json.dumps(header)), **states, **arrays)
    found = Recording.load(shown).distributions
    assert found is not None
    assert (found.joints, found.discrete) == (("hip", "knee"), True)
    np.testing.assert_array_equal(found.columns, DISTRIBUTIONS.columns)


def _npz(path, **arrays):
    with path.open("wb") as file:
        np.savez(file, **arrays)


def test_foreign_and_damaged_files_get_one_clear_line(tmp_path):
    good = saved(STATES, tmp_path)
    bad = {name: tmp_path / name for name in ("text", "empty", "cut", "foreign", "later", "array", "pickle", "fields")}
    bad["text"].write_text("hello")
    bad["empty"].touch()
    bad["cut"].write_bytes(good.read_bytes()[:300])
    _npz(bad["foreign"], weights=np.zeros(3))
    _npz(bad["later"], header=np.array(json.dumps({"format": "pgcontrol recording 99"})))
    np.save(bad["array"].open("wb"), np.zeros(3))
    _npz(bad["pickle"], header=np.array([{"format": FORMAT}], dtype=object))
    _npz(bad["fields"], header=np.array(json.dumps({"format": FORMAT, "colour": "red"})))
    for path in bad.values():
        with pytest.raises(ValueError, match="is not a recording, or is damaged") as caught:
            Recording.load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "none.npz")
