"""Playing without a display: the simulation alone."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mujoco.studio import messages, sim  # pyright: ignore[reportAttributeAccessIssue]

import pgcontrol
from pgcontrol import cli
from pgcontrol.options import InputError
from pgcontrol.play import evaluate
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import load, make_env, make_policy
from pgcontrol.viewer import play
from pgcontrol.viewer.panel import COLUMNS, Moment, histogram


class Handle:
    """The state that a player sends to the viewer."""

    def __init__(self):
        self.said: list[Moment] = []

    def send_to_viewer(self, message):
        self.said.append(message)


def saved(folder: Path, head: str, seed: int = 0, **options) -> Path:
    """A checkpoint of a policy of Hopper; its step is that of the folder's name."""
    sizes = {"obs_size": 11, "low": [-1.0] * 3, "high": [1.0] * 3, "hidden": [8]}
    spec = {"env": "Hopper-v5", "head": {"name": head, **options}, "critic": {"name": "none"}} | sizes
    policy = make_policy(spec, seed=0)
    policy.theta += 0.3 * torch.randn(policy.theta.shape, generator=torch.Generator().manual_seed(seed))
    meta = {"policy": spec, "steps": checkpoint.steps_of(folder)}
    checkpoint.save(folder, {f"policy.{k}": v for k, v in policy.state_dict().items()}, meta)
    return folder


def player_of(where: Path, who: str = "policy", sampled: bool = False, seed: int = 0) -> tuple[play.Player, Handle]:
    agent, env = play.find_agent(where, who, sampled, seed)
    player, handle = play.Player(agent, env, seed), Handle()
    player.handle = handle  # pyright: ignore[reportAttributeAccessIssue]
    return player, handle


def steps(player: play.Player, count: int) -> None:
    for _ in range(count):
        player.due = 0.0  # does not wait for real time
        player.on_step(messages.StepEvent(player.model, player.data))


def episode(player: play.Player) -> float:
    for _ in range(1001):
        steps(player, 1)
        if player.over:
            return player.total
    raise AssertionError("an episode of Hopper ends within 1000 steps")


def returned(where: Path, sampled: bool, seed: int) -> float:
    env, policy = make_env("Hopper-v5", 1, seed, threads=1), load(where)
    return float(evaluate.episodes(env, evaluate.policy_agent(policy, not sampled, seed), seed).returns[0])


@pytest.mark.parametrize("head", sorted(catalog.heads()))
@pytest.mark.parametrize("sampled", [False, True])
def test_what_is_watched_is_what_eval_measures(head, sampled, tmp_path):
    """Return of the first episode, to the bit: pictures of the distribution have their own random stream."""
    where = saved(tmp_path / "step_1", head)
    player, handle = player_of(where, sampled=sampled, seed=5)
    assert episode(player) == returned(where, sampled, seed=5)
    assert handle.said[0].draws.shape == (play.DRAWS, 3)
    assert ((handle.said[0].draws >= -1) & (handle.said[0].draws <= 1)).all()


def test_the_next_episode_has_the_next_seed_and_a_reset_begins_it(tmp_path):
    player, handle = player_of(saved(tmp_path / "step_1", "gaussian"))
    episode(player)
    ended = player.steps
    assert handle.said[-1].line.endswith("ended")
    assert player.data.time == pytest.approx(ended * player.env.control_dt)
    steps(player, 1)  # a moment to look at the end, then the next one
    assert player.steps == 0
    start = make_env("Hopper-v5", 1, seed=1).reset(seed=1)
    assert torch.equal(player.playing.obs, start)
    steps(player, 3)
    assert player.on_reset(messages.ResetEvent())
    assert (player.steps, player.total) == (0, 0.0)
    assert torch.equal(player.playing.obs, make_env("Hopper-v5", 1, seed=2).reset(seed=2))


@pytest.mark.parametrize("sampled", [False, True])
def test_a_run_is_followed_to_its_newest_checkpoint(sampled, tmp_path, capsys):
    """An episode is played to its end by the policy that began it; the next one is the newest policy's."""
    first = saved(tmp_path / "run" / "checkpoints" / "step_1000", "gaussian")
    player, handle = player_of(tmp_path / "run", sampled=sampled)
    steps(player, 2)
    second = saved(tmp_path / "run" / "checkpoints" / "step_2000", "binned", seed=1)
    assert episode(player) == returned(first, sampled, seed=0)
    assert {said.source for said in handle.said} == {"trained for 1,000 steps"}
    steps(player, 1)  # a moment to look at the end
    assert episode(player) == returned(second, sampled, seed=1)
    assert handle.said[-1].source == "trained for 2,000 steps"
    # one that is damaged costs a line, not the view, and the last one stays
    (saved(tmp_path / "run" / "checkpoints" / "step_3000", "gaussian") / "tensors.safetensors").write_bytes(b"x")
    for seed in (2, 3):
        steps(player, 1)
        # the stream of samples continues, so it differs from that of an evaluation
        assert sampled or episode(player) == returned(second, sampled, seed)
    assert handle.said[-1].source == "trained for 2,000 steps"
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith("; continuing with step 2,000\n")


def test_a_run_in_training_is_followed_and_stays_at_its_last(tmp_path):
    run = {"run_dir": str(tmp_path / "run"), "total_steps": 1024, "checkpoint_every": 256, "eval_every": 0}
    small = {"num_envs": 4, "rollout_steps": 64, "algorithm.minibatch": 64, "threads": 1, "compile": "off"}
    trainer, player, seen = pgcontrol.Trainer("Hopper-v5", **run, **small), None, []
    for _ in trainer:
        player = player or player_of(tmp_path / "run")[0]
        player.begin()
        seen.append(player.moment().source)
    assert player is not None
    player.begin()
    expected = [f"trained for {n} steps" for n in ["256", "512", "768", "1,024", "1,024"]]
    assert [*seen, player.moment().source] == expected


def test_a_long_episode_gives_way_to_a_newer_policy(tmp_path, monkeypatch):
    saved(tmp_path / "run" / "checkpoints" / "step_1000", "gaussian")
    player, _ = player_of(tmp_path / "run")
    saved(tmp_path / "run" / "checkpoints" / "step_2000", "gaussian", seed=1)
    steps(player, 3)
    assert (player.steps, player.agent.steps) == (3, 1000)
    monkeypatch.setattr(play, "PATIENCE", 0.0)
    steps(player, 1)
    assert (player.steps, player.agent.steps) == (0, 2000)
    steps(player, 3)  # there is no newer one
    assert (player.steps, player.agent.steps) == (3, 2000)


def test_a_run_without_a_checkpoint_is_an_error(tmp_path):
    folder = RunFolder.create(pgcontrol.configure({"env": "Hopper-v5", "run_dir": str(tmp_path / "run")}))
    with folder.alone(), pytest.raises(InputError, match="no checkpoint yet: the run is still training"):
        player_of(folder.path)
    with pytest.raises(InputError, match="no checkpoint: the run stopped before its first one"):
        player_of(folder.path)


def test_pause_single_steps_and_speed(tmp_path):
    player, handle = player_of(saved(tmp_path / "step_1", "binned", bins=3))
    player.on_control(messages.StepControlSnapshot(pause_state=sim.PauseState.NORMAL_PAUSED, speed=50.0))
    steps(player, 5)
    assert player.steps == 0
    player.on_single_step(messages.SingleStepEvent())
    steps(player, 5)
    assert player.steps == 1
    player.on_control(messages.StepControlSnapshot(pause_state=sim.PauseState.UNPAUSED, speed=50.0))
    player.due = due = time.monotonic()
    player.on_step(messages.StepEvent(player.model, player.data))
    assert player.steps == 2
    assert player.due == pytest.approx(due + 2 * player.env.control_dt)  # half of real time
    player.on_step(messages.StepEvent(player.model, player.data))
    assert player.steps == 2  # not due yet
    assert len(handle.said) == 2


def test_a_push_in_the_viewer_moves_the_simulation(tmp_path):
    """A force on the torso, as the mouse applies it, and a posture set while it is paused."""
    where = saved(tmp_path / "step_1", "gaussian")
    calm, pushed = player_of(where)[0], player_of(where)[0]
    torso = pushed.model.body("torso").id
    pushed.data.xfrc_applied[torso, 0] = 200.0
    for player in (calm, pushed):
        steps(player, 10)
    assert pushed.data.qpos[0] > calm.data.qpos[0] + 0.01
    pushed.data.xfrc_applied[:] = 0.0
    pushed.data.qpos[1] += 0.5
    steps(pushed, 1)
    assert float(pushed.playing.obs[0, 0]) == pytest.approx(calm.data.qpos[1] + 0.5, abs=0.2)  # its height
    assert pushed.data.qpos[1] > calm.data.qpos[1] + 0.3


@pytest.mark.parametrize("who", ["policy", "zero"])
def test_settings_of_the_task_can_be_others_than_in_training(who, tmp_path):
    where = saved(tmp_path / "step_1", "gaussian") if who == "policy" else Path("Hopper-v5")
    assert play.find_agent(where, who, False, 0, {"env.frame_skip": "2"})[1].env_id == "Hopper-v5?frame_skip=2"


def test_agents_without_weights_play_a_task_by_its_id():
    player, handle = player_of(Path("Hopper-v5"), "random")
    steps(player, 2)
    assert handle.said[-1].title == "Hopper-v5: random"
    assert handle.said[-1].draws.std() == pytest.approx(3**-0.5, rel=0.1)  # uniform on [-1, 1]
    player, handle = player_of(Path("gym:Reacher-v5"), "zero")
    steps(player, 2)
    assert handle.said[-1].draws.shape == (0, 2)
    assert (handle.said[-1].action == 0).all()
    assert handle.said[-1].joints == ("joint0", "joint1")


def test_chunks_are_played_in_order(tmp_path):
    where = saved(tmp_path / "step_1", "token", horizon=3, tokenizer="bins", codes=5)
    player, handle = player_of(where)
    steps(player, 4)
    policy, env = load(where), make_env("Hopper-v5", 1, seed=0)
    obs = env.reset(seed=0)
    first, _ = policy.act(obs, None)
    for action in first.unbind(1):
        obs = env.step(action).obs
    second, _ = policy.act(obs, None)
    assert torch.equal(player.playing.obs, env.step(second[:, 0]).obs)
    assert [said.action.tolist() for said in handle.said[:3]] == [first[0, 0].tolist()] * 3


def test_columns_of_bins_and_curves_of_gaussians():
    rng = np.random.default_rng(0)
    places, heights = histogram(rng.choice([-1.0, 0.0, 1.0], 600, p=[0.5, 0.25, 0.25]), -1, 1, discrete=True)
    assert places[heights > 0].tolist() == [-1.0, 0.0, 1.0]
    assert heights.max() == 1
    _, heights = histogram(rng.normal(0, 0.2, 600).clip(-1, 1), -1, 1, discrete=False)
    assert abs(int(heights.argmax()) - COLUMNS // 2) <= 5
    assert np.abs(np.diff(heights)).max() < 0.3  # smooth
    # two peaks stay two, and what is clipped stands on the bound
    draws = np.concatenate((rng.normal(-0.5, 0.1, 300), np.full(200, 1.0)))  # half of them are equal
    _, heights = histogram(draws, -1, 1, discrete=False)
    assert heights[-1] == 1
    assert heights[COLUMNS // 2 : -1].max() < 0.2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("play nowhere", "nowhere: no such run or checkpoint folder"),
        ("play Hopper-v5", "Hopper-v5 is a task; without a run, use --agent zero or --agent random"),
        ("play Hopper-v5?frame_skip=2", "Hopper-v5?frame_skip=2 is a task; without a run, use --agent zero"),
        ("play gym:Pendulum-v1", "gym:Pendulum-v1 is a task; without a run, use --agent zero or --agent random"),
        ("play Hoper-v5 --agent zero", "Hoper-v5: no such run or checkpoint folder, and no task; did you mean"),
        ("play gym:Pendulum-v1 --agent zero", "gym:Pendulum-v1 has no MuJoCo model"),
        ("play Hopper-v5 --agent zero --viewer native", "there is no display for a window; use --viewer web"),
    ],
)
def test_bad_input(words, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    error = capsys.readouterr().err
    assert (caught.value.code, error.count("\n")) == (2, 1)
    assert error.startswith(f"pgcontrol: {line}"), error


def test_a_display_that_is_gone_is_none(monkeypatch):
    """The variable is left from an ended session; Studio would wait for it."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":4242")
    assert not play.has_display()
