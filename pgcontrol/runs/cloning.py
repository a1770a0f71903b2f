"""The configuration of a clone: a policy that is fitted to a dataset (behavioural cloning)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pgcontrol.options import option, pick
from pgcontrol.runs import catalog
from pgcontrol.runs.config import LOGGER, OWN, PARTS, Part, flat, read_settings, with_arguments


@dataclass(frozen=True, kw_only=True)
class CloneConfig:
    """All settings of a clone. `configure_clone` creates it.

    Attributes:
        method: stands where a Config has the algorithm's name.
        critic: always "none": the dataset does not show the values of the clone's own states.
    """

    method: ClassVar[str] = "clone"
    symmetric: ClassVar[bool] = False
    dataset: str = option("", "folder of a Minari dataset, or the id of a Minari dataset on this machine")
    env: str = option("", "task id, or gym:ID; empty: the task named in the dataset")
    clip_actions: bool = option(False, "clip actions beyond the task's bounds, and count them")
    seed: int = option(0, "seed of all random numbers in a clone", least=0, most=2**63 - 1)
    hidden: tuple[int, ...] = option((128, 128), "sizes of the policy's hidden layers", least=1, most=65_536)
    steps: int = option(10_000, "maximum number of gradient steps", least=1, most=10**9)
    learning_rate: float = option(1e-3, "initial step size of Adam", above=0)
    decay: str = option("linear", "decay of the step size to 0 over the steps", choices=("linear", "none"))
    minibatch: int = option(256, "samples per gradient step", least=1, most=10**6)
    max_grad_norm: float = option(1.0, "largest norm of the gradient; a longer one is scaled down", above=0)
    held_out: float = option(0.1, "fraction of the episodes that is held out for validation", above=0, below=1)
    patience: int = option(
        20, "stop if held-out likelihood has not improved for this many hundredths of the steps", least=1, most=1000
    )
    temperature: float | None = option(
        None, "weight episodes by exp(return / (this x std of returns)); none: equally", least=1e-3
    )
    eval_episodes: int = option(
        20, "episodes of the final evaluation, by mode and by samples; 0: none", least=0, most=100_000
    )
    compile: str = option("auto", "compile the gradient step; auto: if the fit is long", choices=("auto", "on", "off"))
    threads: int = option(1, "physics threads of the evaluation", least=1, most=1024)
    run_dir: str | None = option(None, "run folder, must not exist yet; none: a new one under runs/")
    logger: tuple[str, ...] = option((), LOGGER, part=catalog.loggers)

    head: Part
    trunk: Part
    critic: Part


def configure_clone(settings: Mapping[str, Any]) -> CloneConfig:
    """A checked CloneConfig from dotted settings.

    Raises:
        InputError: one line with the setting, its value and what is valid.
    """
    settings = with_arguments({key: catalog.name_of(value) for key, value in flat(settings).items()})
    if settings.get("env") is not None:
        catalog.name_env(settings["env"])
    names = {"head": settings.get("head", "gaussian"), "trunk": settings.get("trunk", "mlp")}
    classes = {part: pick(part, name, PARTS[part][0](), OWN) for part, name in names.items()}
    values = read_settings(CloneConfig, settings, names, classes)
    return CloneConfig(**values, critic=Part("none", catalog.critics()["none"].Options()))
