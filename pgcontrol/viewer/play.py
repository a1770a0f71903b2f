"""`pgcontrol play`: shows a policy in MuJoCo Studio, in a window or in a browser, with its action distribution.

The simulation is a VecEnv with one environment, so it is what `eval` measures. The viewer's MjData mirrors it; a push
with the mouse is applied to the environment. A run in training is followed: each episode is played by the policy of the
newest checkpoint at its start, and ends early if there has been a newer one for some time.
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import collections.abc
import copy
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
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
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.load import changed, load_with_meta, make_env
from pgcontrol.text import visible
from pgcontrol.viewer.panel import Moment, Panel

DRAWS = 512  # for the histogram of the distribution
PICTURES = 0.03  # smallest time in seconds between two histograms: a task may choose 125 times per second
PATIENCE = 10.0  # seconds after which a newer policy may end an episode
PAUSE = 1.0  # seconds for which the end of an episode is shown


class Agent(NamedTuple):
    """A player of episodes.

    Attributes:
        draws: raw observation [1, O] -> samples of its actions, [count, A].
        newer: seed of an episode -> the agent that plays from now on, or None if it is still this one.
        steps: training steps of its policy; None: it has no policy.
        discrete: whether it chooses among values, such as bins.
    """

    name: str
    act: Act
    draws: Callable[[Tensor], Tensor]
    newer: Callable[[int], "Agent | None"] = lambda _: None
    steps: int | None = None
    discrete: bool = False


def policy_of(where: Path, sampled: bool, seed: int) -> tuple[Agent, str]:
    """The policy of a run's newest checkpoint or of a given checkpoint, and its environment's id.

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

    discrete = not policy.head.choice_spec.dtype.is_floating_point
    return Agent(name, act, draws, newer, meta["steps"], discrete), meta["policy"]["env"]


def find_agent(
    where: Path, who: str, sampled: bool, seed: int, settings: Mapping[str, str] = MappingProxyType({})
) -> tuple[Agent, pgcontrol_envs.VecEnv]:
    """The agent and its environment, from a run folder, a checkpoint, or (for agents without weights) a task's id.

    `settings` changes settings `env.NAME` of the environment.

    Raises:
        InputError: there is no such folder or task.
    """
    if who == "policy" or where.exists():
        if not where.exists() and catalog.is_env(str(where)):
            raise InputError(f"{where} is a task; without a run, use --agent zero or --agent random")
        agent, env_id = policy_of(where, sampled, seed)
        env = make_env(changed(env_id, settings), 1, seed)
        if who == "policy":
            return agent, env
    else:
        name = str(where)
        if not catalog.is_env(name):
            no = f"{name}: no such run or checkpoint folder, and no task"
            raise InputError(f"{no}{suggest(name, catalog.tasks())}")
        catalog.name_env(name)
        env = make_env(changed(name, settings), 1, seed)
    if who == "random":
        act, many = evaluate.random_agent(env, seed), evaluate.random_agent(env, seed + 1)
        return Agent("random", act, lambda obs: many(obs.expand(DRAWS, -1))[:, 0]), env
    return Agent("zero", evaluate.zero_agent(env), lambda obs: torch.empty(0, env.action_low.numel())), env


class Player(plugin.SimPlugin):
    """Plays episode after episode at the viewer's speed, and sends every choice to the viewer."""

    def __init__(self, agent: Agent, env: pgcontrol_envs.VecEnv, seed: int):
        model = env.task.model if env.task else getattr(env, "model", None)
        if model is None:
            raise InputError(f"{env.env_id} has no MuJoCo model that the viewer could show")
        self.agent, self.env, self.model = agent, env, endless(model)
        self.data = mujoco.MjData(self.model)
        self.control = sim.StepControl()  # pause, speed and single steps, set by the viewer's buttons
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
        """Switch to the newest policy; returns whether it has changed."""
        self._looked = time.monotonic()
        try:
            newer = self.agent.newer(self.seed)
        except InputError as error:  # removed or damaged: the current policy continues
            if self._trouble != (trouble := str(error)):
                print(f"pgcontrol: {visible(trouble)}; continuing with step {self.agent.steps:,}", file=sys.stderr)
            newer, self._trouble = None, trouble
        self.agent = newer or self.agent
        return newer is not None

    def play(self) -> None:
        """One step of the environment, with a new choice if the last one has been played."""
        self._take_pushes()
        played = self.playing.step()
        if played.part == 0 and time.monotonic() - self._pictured >= PICTURES:
            self.choice, self._pictured = played.action[0].double().numpy(), time.monotonic()
            self.draws = self.agent.draws(played.obs).double().numpy()  # for this state
        self.total, self.steps = self.total + float(played.step.reward[0]), self.steps + 1
        if not self.playing.going[0]:
            self.over = "ended" if played.step.terminated[0] else "time limit"
        self._mirror()

    def _mirror(self) -> None:
        """Copy the environment's state to the viewer."""
        qpos = self.env.qpos(0)
        assert qpos is not None
        self.data.qpos[:], self.data.time = qpos, self.steps * self.env.control_dt
        if physics := getattr(self.env, "physics", None):
            self.data.qvel[:], self.data.ctrl[:] = physics.qvel[0], physics.ctrl[0]
            set_fields(self.model, physics.own(0))
        mujoco.mj_forward(self.model, self.data)

    def _take_pushes(self) -> None:
        """Apply what the mouse does in the viewer: forces, and postures that are set during a pause."""
        if not (physics := getattr(self.env, "physics", None)):
            return
        physics.xfrc_applied[0] = self.data.xfrc_applied
        if not np.array_equal(physics.qpos[0], self.data.qpos):
            physics.qpos[0] = self.data.qpos
            physics.forward()
            assert self.env.task is not None
            self.playing.moved(torch.from_numpy(self.env.task.observe()))

    def moment(self) -> Moment:
        """The message for the panel."""
        source = "" if self.agent.steps is None else f"trained for {self.agent.steps:,} steps"
        line = f"step {self.steps}  return {self.total:,.1f}  {self.over}"
        return Moment(self.title, source, line, self.joints, *self.bounds, self.choice, self.draws, self.agent.discrete)

    @messages.handler
    def on_step(self, _: messages.StepEvent) -> None:
        """Keep real time at the viewer's speed: make a step when it is due, without catching up on late ones."""
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
        """Start the next episode, instead of the model's default posture."""
        self.begin()
        return True

    @messages.handler
    def on_load_model(self, _: messages.LoadModelEvent) -> bool:
        """Ignore files that are dropped on the window: the task does not change."""
        return True

    @messages.handler
    def on_control(self, said: messages.StepControlSnapshot) -> bool:
        """Take over pause and speed."""
        self.control.set_pause_state(said.pause_state)
        self.control.set_speed(said.speed)
        return True

    @messages.handler
    def on_single_step(self, _: messages.SingleStepEvent) -> bool:
        """One step during a pause."""
        self.control.request_single_step()
        return True

    @messages.handler
    def on_pause(self, event: messages.RequestPauseEvent) -> bool:
        self.control.set_pause_state(event.pause_state)
        return True


def endless(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy of the model for display with infinite floors: in the physics they are infinite, but drawn finite."""
    model = copy.deepcopy(model)
    model.geom_size[model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE, :2] = 0
    return model


def play(
    where: Path,
    viewer: str | None,
    who: str,
    sampled: bool,
    seed: int,
    port: int,
    host: str,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Play until the window is closed or Ctrl-C is pressed; returns the exit code. For `settings` see `find_agent`.

    Raises:
        InputError: no such run, no display for a window, a port in use, or no such address to listen on.
    """
    viewer = viewer or ("native" if has_display() else "web")
    if viewer == "native" and not has_display():
        raise InputError("there is no display for a window; use --viewer web for a page in a browser")
    torch.set_num_threads(1)
    agent, env = find_agent(where, who, sampled, seed, settings)
    try:
        player = Player(agent, env, seed)
        with launch(player, viewer, port, host) as handle:
            handle.set_model(player.model, data=player.data)
            while handle.is_running():
                handle.sync()
    except KeyboardInterrupt:
        print("\nstopped")
    except RuntimeError as error:  # from Studio's thread, some time after its start; only a port is the user's problem
        if not re.search(r"\bport \d", str(error).lower()):
            raise
        raise InputError(f"--viewer {viewer}: {error}") from None
    finally:
        env.close()
    return 0


def launch(player: Player, viewer: str, port: int, host: str) -> viewer_handle.ViewerHandle:
    """Start Studio with the panel, in its own thread.

    Raises:
        InputError: this machine has no address `host` to serve a page on.
    """
    config = viewer_protocol.ViewerConfig(title=player.title, http_port=port)
    studio = app.App(app.Config(show_options=False, show_inspector=False))
    plugins = [studio, Panel(player.env.task.camera if player.env.task else None), player]
    if viewer == "web":
        from mujoco.studio import launch_web

        from pgcontrol.viewer.door import Door

        Door(host).stand()
        return launch_web.launch(config, plugins=plugins)
    # MuJoCo 4.0.0's window needs a name that Python only has since 3.12, and cannot be drawn into directly ("Target
    # not found"): in this mode Filament renders into memory, and the window shows the result
    if not hasattr(collections.abc, "Buffer"):
        collections.abc.Buffer = typing_extensions.Buffer
    config.gfx = "opengl_software"
    from mujoco.studio import launch_native

    return launch_native.launch(config, plugins=plugins)
