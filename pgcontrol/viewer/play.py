"""`pgcontrol play`: a policy in MuJoCo Studio, in a window or in a browser, with the distribution it draws from.

The simulation is a VecEnv of one environment, so what is watched is what `eval` measures. The viewer's MjData mirrors
it; a push with the mouse goes back into it. A run in training is followed: each episode is played by the policy of the
checkpoint that is the newest as the episode begins, and gives way to a newer one after a while.
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import collections.abc
import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np
import pgcontrol_envs
import torch
import typing_extensions
from mujoco.studio import app, messages, plugin, sim, viewer_handle, viewer_protocol
from pgcontrol_envs.physics import set_fields
from torch import Tensor

from pgcontrol.machine.graphics import has_display
from pgcontrol.options import InputError, suggest
from pgcontrol.play import evaluate
from pgcontrol.play.density import joint_names
from pgcontrol.play.episodes import Act, Episodes
from pgcontrol.runs import checkpoint
from pgcontrol.runs.catalog import name_env
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.text import visible
from pgcontrol.viewer.panel import Moment, Panel

DRAWS = 512  # for a picture of the distribution
PICTURES = 0.03  # seconds between two of them at least: a task may choose 125 times a second, which no eye follows
PATIENCE = 10.0  # seconds that an episode is watched before a newer policy may end it
PAUSE = 1.0  # seconds for which the end of an episode stands still


class Agent(NamedTuple):
    """Who plays.

    Attributes:
        draws: raw observation [1, O] -> actions that it might take, [count, A].
        newer: seed of an episode -> who plays from there on, or None where that is still this agent.
        steps: that its policy was trained for; None: it has no policy.
    """

    name: str
    act: Act
    draws: Callable[[Tensor], Tensor]
    newer: Callable[[int], "Agent | None"] = lambda _: None
    steps: int | None = None


def policy_of(where: Path, sampled: bool, seed: int) -> tuple[Agent, str]:
    """The policy of a run's newest checkpoint, or of one checkpoint, and its environment's id.

    Raises:
        InputError: there is none, or it is damaged.
    """
    folder = checkpoint.latest(where)
    policy, meta = load_with_meta(folder)
    draw = torch.Generator().manual_seed(seed)
    name = f"{policy.head.name}, {'sampled' if sampled else 'mode'}"
    act = evaluate.policy_agent(policy, deterministic=not sampled, seed=seed)

    def draws(obs: Tensor) -> Tensor:
        return policy.draws(obs, DRAWS, draw)[:, 0]

    def newer(seed: int) -> Agent | None:
        return None if checkpoint.latest(where) == folder else policy_of(where, sampled, seed)[0]

    return Agent(name, act, draws, newer, meta["steps"]), meta["policy"]["env"]


def find_agent(where: Path, who: str, sampled: bool, seed: int) -> tuple[Agent, pgcontrol_envs.VecEnv]:
    """The agent and its environment, from a run folder, a checkpoint, or for agents without weights a task's id.

    Raises:
        InputError: neither is there.
    """
    if who == "policy" or where.exists():
        if not where.exists() and str(where) in pgcontrol_envs.catalog():
            raise InputError(f"{where} is a task; without a run there are --agent zero and --agent random")
        agent, env_id = policy_of(where, sampled, seed)
        env = make_env(env_id, 1, seed)
        if who == "policy":
            return agent, env
    else:
        name = str(where)
        if name.startswith("gym:"):
            name_env(name)
        elif name.partition("?")[0] not in (tasks := pgcontrol_envs.catalog()):
            raise InputError(f"{name}: no such run or checkpoint folder, and no task{suggest(name, tasks)}")
        env = make_env(name, 1, seed)
    if who == "random":
        act, many = evaluate.random_agent(env, seed), evaluate.random_agent(env, seed + 1)
        return Agent("random", act, lambda obs: many(obs.expand(DRAWS, -1))[:, 0]), env
    return Agent("zero", evaluate.zero_agent(env), lambda obs: torch.empty(0, env.action_low.numel())), env


class Player(plugin.SimPlugin):
    """Plays episode after episode at the viewer's speed, and tells the viewer of every choice."""

    def __init__(self, agent: Agent, env: pgcontrol_envs.VecEnv, seed: int):
        model = env.task.model if env.task else getattr(env, "model", None)
        if model is None:
            raise InputError(f"{env.env_id} has no MuJoCo model, so there is nothing for the viewer to show")
        self.agent, self.env, self.model = agent, env, endless(model)
        self.data = mujoco.MjData(self.model)
        self.control = sim.StepControl()  # pause, speed and single steps, as the viewer's buttons set them
        self.seed, self.title = seed, f"{env.env_id}: {agent.name}"
        self.joints = joint_names(env)
        self.bounds = env.action_low.double().numpy(), env.action_high.double().numpy()
        self.due, self._pictured, self._looked, self._trouble = 0.0, 0.0, 0.0, ""
        self.begin()

    def begin(self) -> None:
        """Start the next episode, with the newest policy."""
        self._renew()
        self.playing = Episodes(self.env, self.agent.act, self.env.reset(seed=self.seed))
        self.seed += 1
        self.choice, self.draws = np.zeros(len(self.joints)), np.empty((0, len(self.joints)))
        self.total, self.steps, self.over = 0.0, 0, ""
        self._mirror()

    def _renew(self) -> bool:
        """Let the newest policy play; whether it is another than before."""
        self._looked = time.monotonic()
        try:
            newer = self.agent.newer(self.seed)
        except InputError as error:  # removed or damaged meanwhile: the last one plays on
            if self._trouble != (trouble := str(error)):
                print(f"pgcontrol: {visible(trouble)}; going on with step {self.agent.steps:,}", file=sys.stderr)
            newer, self._trouble = None, trouble
        self.agent = newer or self.agent
        return newer is not None

    def play(self) -> None:
        """One step of the environment; a choice before it where the last one has been played."""
        self._take_pushes()
        played = self.playing.step()
        if played.part == 0 and time.monotonic() - self._pictured >= PICTURES:
            self.choice, self._pictured = played.action[0].double().numpy(), time.monotonic()
            self.draws = self.agent.draws(played.obs).double().numpy()  # of this state and no other
        self.total, self.steps = self.total + float(played.step.reward[0]), self.steps + 1
        if not self.playing.going[0]:
            self.over = "ended" if played.step.terminated[0] else "time is up"
        self._mirror()

    def _mirror(self) -> None:
        """Show the environment's state."""
        qpos = self.env.qpos(0)
        assert qpos is not None
        self.data.qpos[:], self.data.time = qpos, self.steps * self.env.control_dt
        if physics := getattr(self.env, "physics", None):
            self.data.qvel[:], self.data.ctrl[:] = physics.qvel[0], physics.ctrl[0]
            set_fields(self.model, physics.own(0))
        mujoco.mj_forward(self.model, self.data)

    def _take_pushes(self) -> None:
        """What the mouse does to the viewer's state also happens here: forces, and postures set while it is paused."""
        if not (physics := getattr(self.env, "physics", None)):
            return
        physics.xfrc_applied[0] = self.data.xfrc_applied
        if not np.array_equal(physics.qpos[0], self.data.qpos):
            physics.qpos[0] = self.data.qpos
            physics.forward()
            assert self.env.task is not None
            self.playing.moved(torch.from_numpy(self.env.task.observe()))

    def moment(self) -> Moment:
        """For the overlay."""
        source = "" if self.agent.steps is None else f"trained for {self.agent.steps:,} steps"
        line = f"step {self.steps}  return {self.total:,.1f}  {self.over}"
        return Moment(self.title, source, line, self.joints, *self.bounds, self.choice, self.draws)

    @messages.handler
    def on_step(self, _: messages.StepEvent) -> None:
        """Keep real time at the viewer's speed: one step when it is due, and never a queue of late ones."""
        single = self.control.consume_single_step_request()
        now = time.monotonic()
        if not single and (self.control.get_pause_state() != sim.PauseState.UNPAUSED or now < self.due):
            time.sleep(0.001)
            return
        if self.over or (now - self._looked >= PATIENCE and self._renew()):
            self.begin()
        else:
            self.play()
        period = PAUSE if self.over else self.env.control_dt * 100 / max(self.control.get_speed(), 1e-3)
        self.due = max(self.due + period, now)
        self.handle.send_to_viewer(self.moment())

    @messages.handler
    def on_reset(self, _: messages.ResetEvent) -> bool:
        """The next episode, not the model's default posture."""
        self.begin()
        return True

    @messages.handler
    def on_load_model(self, _: messages.LoadModelEvent) -> bool:
        """The task stays what it is, whatever file is dropped on the window."""
        return True

    @messages.handler
    def on_control(self, said: messages.StepControlSnapshot) -> bool:
        """Pause and speed."""
        self.control.set_pause_state(said.pause_state)
        self.control.set_speed(said.speed)
        return True

    @messages.handler
    def on_single_step(self, _: messages.SingleStepEvent) -> bool:
        """One step while paused."""
        self.control.request_single_step()
        return True

    @messages.handler
    def on_pause(self, event: messages.RequestPauseEvent) -> bool:
        """Pause."""
        self.control.set_pause_state(event.pause_state)
        return True


def endless(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy for the eye, whose floors do not end: they never do in the physics, and agents run further than drawn."""
    model = copy.deepcopy(model)
    model.geom_size[model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE, :2] = 0
    return model


def play(where: Path, viewer: str | None, who: str, sampled: bool, seed: int, port: int, host: str) -> int:
    """Play until the window is closed or Ctrl-C; returns the exit code.

    Raises:
        InputError: no such run, no display for a window, a port that is taken, or no such address to listen on.
    """
    viewer = viewer or ("native" if has_display() else "web")
    if viewer == "native" and not has_display():
        raise InputError("no display to open a window on; --viewer web serves a page for a browser elsewhere")
    torch.set_num_threads(1)
    agent, env = find_agent(where, who, sampled, seed)
    try:
        player = Player(agent, env, seed)
        with launch(player, viewer, port, host) as handle:
            handle.set_model(player.model, data=player.data)
            while handle.is_running():
                handle.sync()
    except KeyboardInterrupt:
        print("\nstopped")
    except RuntimeError as error:  # of Studio's thread, some time after it began; only a port is the user's affair
        if "port" not in str(error).lower():
            raise
        raise InputError(f"--viewer {viewer}: {error}") from None
    finally:
        env.close()
    return 0


def launch(player: Player, viewer: str, port: int, host: str) -> viewer_handle.ViewerHandle:
    """Studio with the overlay, in a thread of its own.

    Raises:
        InputError: no address `host` of this machine to serve a page on.
    """
    config = viewer_protocol.ViewerConfig(title=player.title, http_port=port)
    studio = app.App(app.Config(show_options=False, show_inspector=False))
    plugins = [studio, Panel(player.env.task.camera if player.env.task else None), player]
    if viewer == "web":
        from mujoco.studio import launch_web

        from pgcontrol.viewer.door import Door

        Door(host).stand()
        return launch_web.launch(config, plugins=plugins)
    # MuJoCo 4.0.0's window needs a name that Python has from 3.12 on, and cannot be drawn into directly ("Target not
    # found"): in this mode Filament draws into memory, and the window shows that
    if not hasattr(collections.abc, "Buffer"):
        collections.abc.Buffer = typing_extensions.Buffer
    config.gfx = "opengl_software"
    from mujoco.studio import launch_native

    return launch_native.launch(config, plugins=plugins)
