"""`pgcontrol sim2sim`: how well an exported policy follows its commands in a second simulation and in training's.

The second simulation only gets the file and its description, like a real robot.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pgcontrol.arguments import SecondPhysics, Sim2SimOptions
from pgcontrol.exporting.export import export, require_extra, session
from pgcontrol.exporting.interface import Place, read
from pgcontrol.exporting.second import SecondSimulation, same
from pgcontrol.machine import files
from pgcontrol.measures.statistics import mean_interval, share_interval
from pgcontrol.options import InputError, takes
from pgcontrol.runs.evaluation import evaluate
from pgcontrol.runs.log import finite

Measured = Mapping[str, np.ndarray]  # measures of episodes, [N] by name
SHARES = ("fell",)  # measures that are fractions of episodes; the others are means


@dataclass(frozen=True)
class Sim2SimResult:
    """Measures of episodes: speed_error in m/s, yaw_error in rad/s, `fell`, and `seconds` until the end.

    Attributes:
        task: the task.
        played: the run or the file.
        measured: by simulation. `training`: the task itself with its randomisation, by mode (not for a file).
            `same`: the description in training's physics with nominal values. `second`: in other physics.
        physics: settings of the second simulation.
    """

    task: str
    played: Path
    measured: Mapping[str, Measured]
    physics: SecondPhysics

    def summary(self) -> dict[str, dict[str, Any]]:
        """Estimates with 95 % intervals over episodes, by simulation and by measure."""
        return {
            world: {name: (share_interval if name in SHARES else mean_interval)(x) for name, x in measures.items()}
            for world, measures in self.measured.items()
        }


class ExportedPolicy:
    """An exported file with its description.

    Attributes:
        interface: the robot's interface.
    """

    def __init__(self, file: Path, seed: int):
        """Raises InputError if the file has no description, or one that does not fit."""
        about = file.with_suffix(".json")
        for path in (file, about):
            if not path.is_file():
                raise InputError(f"{path}: no such file; `pgcontrol export` writes FILE.onnx and FILE.json")
        try:
            said = Place(str(about), json.loads(files.read_text(about)))
        except ValueError as error:
            raise InputError(f"{about} is not JSON: {error}") from None
        model = file.read_bytes()
        if said.at("model").text("sha256") != hashlib.sha256(model).hexdigest():
            raise InputError(f"{about} describes another file than {file}: its model.sha256 differs")
        self.task = said.text("task")
        if said.values.get("interface") is None:
            raise InputError(
                f"{self.task} does not describe its robot, which sim2sim needs: define"
                " Task.interface (docs/plugins.md) and export again"
            )
        self.where = f"{about.name}: interface"
        self.interface = read(said.values["interface"], self.where)
        self._session, self._rng = session(model), np.random.default_rng(seed)
        obs, *_ = self._session.get_inputs()
        answer = self._session.get_outputs()[0].shape
        for key, found, expected in (
            ("observation", self.interface.size, obs.shape[-1]),
            ("action.joints", len(self.interface.action.joints), answer[-1]),
        ):
            if found != expected:
                raise InputError(f"{self.where}.{key}: {found} numbers, but {file.name} has {expected}")

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Observations [N, O] -> choices with H actions, [N, H, A]."""
        given = {}
        for one in self._session.get_inputs():
            values = obs if one.name == "obs" else self._rng.random((len(obs), one.shape[-1]))
            given[one.name] = values.astype(np.float64 if one.type == "tensor(double)" else np.float32)
        return self._session.run(None, given)[0].reshape(len(obs), -1, len(self.interface.action.joints))


@takes(Sim2SimOptions)
def sim2sim(options: Sim2SimOptions) -> Sim2SimResult:
    """Play an exported policy, or a run's policy after exporting it, in a second simulation; compare with training's.

    Raises:
        InputError: there is no such run or file, the description does not fit, or the robot has no commands.
        ExportError: see `pgcontrol.export`.
    """
    if options.out and options.out.is_dir():
        raise InputError(f"--out {options.out}: is a folder; choose a file, such as sim2sim.json")
    if options.out and options.out.exists() and not options.force:
        raise InputError(f"{options.out} exists already; choose another file, or pass --force")
    require_extra()
    exported = options.run.suffix == ".onnx"
    if exported:
        policy = ExportedPolicy(options.run, options.seed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            policy = ExportedPolicy(export(options.run, Path(folder) / "policy.onnx").path, options.seed)
    if not policy.interface.commands:
        raise InputError(f"{policy.where}.commands: empty; sim2sim measures how well commands are followed")
    worlds = {"same": same(policy.interface), "second": options}
    robots = {
        world: SecondSimulation(policy.interface, options.episodes, physics, policy.where)
        for world, physics in worlds.items()
    }
    measured = {} if exported else {"training": _training(options, policy.interface.control_dt)}
    seconds = options.seconds or policy.interface.seconds
    measured |= {world: play(robot, policy, seconds, options.seed) for world, robot in robots.items()}
    result = Sim2SimResult(policy.task, options.run, measured, robots["second"].physics)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        files.replace({options.out: json.dumps(written(result, options), indent=1) + "\n"})
    return result


def written(result: Sim2SimResult, options: Sim2SimOptions) -> dict[str, Any]:
    """The content of `--out`, as JSON values; the interval of a single episode has null as ends."""
    worlds = result.summary().items()
    said = {world: {name: finite(one._asdict()) for name, one in measures.items()} for world, measures in worlds}
    played = {"task": result.task, "played": str(result.played), "episodes": options.episodes, "seed": options.seed}
    return played | {"second_physics": asdict(result.physics)} | said


def play(
    simulation: SecondSimulation, policy: Callable[[np.ndarray], np.ndarray], seconds: float, seed: int
) -> Measured:
    """Play an episode in each copy, with random commands within the interface's ranges."""
    interface, rng, count = simulation.interface, np.random.default_rng(seed), len(simulation.copies)
    low, high = (np.array([getattr(one, end) for one in interface.commands]) for end in ("low", "high"))

    def drawn() -> np.ndarray:
        return rng.uniform(low, high, (count, len(low))) * (rng.random((count, 1)) >= interface.standing)

    simulation.begin(rng)
    command, going, steps = drawn(), np.ones(count, bool), np.zeros(count)
    errors: dict[str, Any] = {}
    choice, part = np.zeros((count, 0, 0)), 0
    for _ in range(max(1, round(seconds / interface.control_dt))):
        renewed = rng.random((count, 1)) < interface.control_dt / interface.command_seconds
        command = np.where(renewed, drawn(), command)
        obs = simulation.observe(command, rng)
        if part == choice.shape[1]:
            choice, part = policy(obs), 0
        simulation.step(choice[:, part], going)
        part, steps = part + 1, steps + going
        for name, off in simulation.errors(command).items():
            errors[name] = errors.get(name, 0.0) + np.where(going & np.isfinite(off), off, 0.0)
        going = going & ~simulation.fallen()
        if not going.any():
            break
    measured = {name: total / steps for name, total in errors.items()}
    return measured | {"fell": 1.0 * ~going, "seconds": steps * interface.control_dt}


def _training(options: Sim2SimOptions, control_dt: float) -> Measured:
    """The measures of `pgcontrol eval` for the mode."""
    played = evaluate(options.run, episodes=options.episodes, seed=options.seed).agents["mode"]
    return {**played.metrics, "seconds": played.lengths * control_dt}
