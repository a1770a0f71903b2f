"""The configuration of a run: frozen and typed, with one value for every setting. The run folder holds a copy."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pgcontrol_envs import names

from pgcontrol.machine import yaml_file
from pgcontrol.options import REQUIRED, InputError, composed, option, pick, plain, read_options, suggest
from pgcontrol.parts import plugins_behind, require_plugins
from pgcontrol.runs import catalog, checkpoint, elsewhere, recommended
from pgcontrol.text import one_line

# settings that do not change what a run learns: where it runs, how it is scored, and which files it writes
TRACELESS = ("run_dir", "threads", "checkpoint_every", "video", "video_seconds", "video_overlay", "logger")
TRACELESS += ("score_episodes", "nconmax", "njmax")

PEER = "train Stable-Baselines3's PPO: sb3 with these settings, sb3-as-shipped with its own"
LOGGER = "loggers in addition to metrics.jsonl and TensorBoard, such as wandb, or wandb,mlflow"


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the learner that is chosen by name, and its options: `head` and `head.X`."""

    name: str
    options: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run. `configure` creates it and fills in the recommended values."""

    env: str = option(REQUIRED, "task id, or gym:ID for any Gymnasium environment with Box spaces")
    seed: int = option(0, "seed of all random numbers in a run", least=0, most=2**63 - 1)
    total_steps: int = option(
        1_000_000,
        "environment steps of all environments together; rounded up to whole rollouts",
        least=1,
        most=10**11,
    )
    num_envs: int = option(16, "N: number of parallel environments", least=1, most=65_536)
    env_workers: int = option(
        0, "worker processes that step a gym: environment; 0: the training process does it", least=0, most=256
    )
    rollout_steps: int = option(128, "T: choices per environment between updates", least=1, most=10**8)
    hidden: tuple[int, ...] = option((64, 64), "sizes of the policy's hidden layers", least=1, most=65_536)
    critic_hidden: tuple[int, ...] = option(
        (64, 64), "sizes of the critic's hidden layers; default: the policy's", least=1, most=65_536
    )
    symmetric: bool = option(False, "make the policy symmetric: mirrored observations give mirrored actions")
    noise_beta: float = option(
        0.0, "β of coloured exploration noise, with spectrum 1/f^β; 0: white, 1: pink", least=0, most=2
    )
    scale_reward: bool = option(True, "divide rewards by the standard deviation of the discounted return")
    average_from: float | None = option(
        None, "fraction of the budget after which weights are averaged, for evaluation and export", least=0, below=1
    )
    eval_every: int = option(200_000, "environment steps between evaluations; 0: never", least=0, most=10**11)
    eval_episodes: int = option(10, "episodes per evaluation", least=1, most=100_000)
    score_episodes: int = option(
        0,
        "episodes to score the final policy (`return` in outcome.json), with start states common to all runs; 0: none",
        least=0,
        most=10**6,
    )
    video: bool = option(True, "record a clip of every evaluation in videos/")
    video_seconds: float = option(10.0, "length of the clips in seconds", above=0)
    video_overlay: bool = option(False, "show the action distribution of every joint next to the scene")
    checkpoint_every: int = option(
        100_000, "environment steps between checkpoints; default: at most a tenth of total_steps", least=1, most=10**11
    )
    on_collapse: str = option(
        "off", "what to do if a collapse of σ is suspected", choices=("off", "warn", "widen", "stop")
    )
    compile: str = option("auto", "compile the gradient step; auto: if the run is long", choices=("auto", "on", "off"))
    device: str = option("cpu", "device of the learning, and of the physics if it is warp: cpu, cuda or cuda:i")
    physics: str = option("native", "simulator of the training: MuJoCo, or MuJoCo Warp", choices=("native", "warp"))
    nconmax: int | None = option(None, "warp: room for contacts per environment; none: a guess", least=1, most=10**6)
    njmax: int | None = option(None, "warp: room for constraints per environment; none: a guess", least=1, most=10**6)
    threads: int = option(0, "physics threads; 0: chosen by a short measurement", least=0, most=1024)
    prior: str | None = option(None, "run or clone to start from, with its policy, normaliser and head settings")
    prior_std: float | None = option(None, "standard deviation at the start; none: the prior's", above=0)
    prior_warmup: int = option(
        6_000, "with a prior: environment steps during which only the critic learns", least=0, most=10**11
    )
    prior_kl: float = option(0.1, "coefficient of KL(policy || prior); advantages have standard deviation 1", least=0)
    prior_kl_until: float = option(0.1, "fraction of the steps after the warm-up until prior_kl is 0", above=0)
    prior_margin: float = option(0.2, "warn when the return falls this fraction below the prior's", above=0)
    peer: str = option("none", PEER, choices=("none", "sb3", "sb3-as-shipped"))
    run_dir: str | None = option(None, "run folder, must not exist yet; none: a new one under runs/")
    logger: tuple[str, ...] = option((), LOGGER, part=catalog.loggers)
    head: Part
    algorithm: Part
    critic: Part
    trunk: Part
    critic_trunk: Part

    @property
    def method(self) -> str:
        """The algorithm's name; a CloneConfig has "clone" here."""
        return self.algorithm.name


# parts that are chosen by name: their table, and the default if the algorithm's row has none
PARTS = {
    "head": (catalog.heads, "gaussian"),
    "algorithm": (catalog.algorithms, "ppo"),
    "critic": (catalog.critics, None),
    "trunk": (catalog.trunks, "mlp"),
    "critic_trunk": (catalog.trunks, "mlp"),
}


OWN = " (to use your own: --plugin FILE.py)"


def configure(settings: Mapping[str, Any], together: bool = True) -> Config:
    """A checked Config from dotted settings such as `{"env": "Hopper-v5", "head": "binned", "head.bins": 41}`.

    A missing setting gets its value from the first of these that has one: the prior, the recommendations of the
    algorithm's row, the table of recommendations for tasks, heads and algorithms, the defaults.

    Args:
        settings: dotted settings.
        together: also check that the settings fit each other, for example that a minibatch fits into a rollout.

    Raises:
        InputError: one line with the setting, its value and what is valid.
    """
    if not isinstance(settings, Mapping):
        raise InputError(f"settings = {settings!r:.80}: must be a mapping, such as {{'env': 'Hopper-v5'}}")
    settings = with_arguments({key: catalog.name_of(value) for key, value in flat(settings).items()})
    settings = _critic_like_policy(of_prior(settings) | settings)
    algorithm = settings.get("algorithm", PARTS["algorithm"][1])
    if str(algorithm) not in catalog.algorithms() and (hint := elsewhere.instead(str(algorithm))):
        raise InputError(f"unknown algorithm {algorithm!r}{hint}")
    row = pick("algorithm", algorithm, catalog.algorithms(), OWN)
    head = settings.get("head", row.head or PARTS["head"][1])
    pick("head", head, catalog.heads(), OWN)
    if (env := settings.get("env")) is None:
        raise InputError("env is missing: name a task, such as HalfCheetah-v5; `pgcontrol list` shows all of them")
    catalog.name_env(env, OWN)
    advice = recommended.of(str(env), str(head), row.name)
    defaults = {part: getattr(row, part, None) or advice.get(part, default) for part, (_, default) in PARTS.items()}
    names = {part: settings.get(part, default) for part, default in defaults.items()}
    classes = {part: pick(part, names[part], table(), OWN) for part, (table, _) in PARTS.items()}
    row.check_parts(names["head"], names["critic"], catalog.heads())
    known = _keys(Config, classes, settings)
    # recommendations may contain options that this head or algorithm does not have
    advised = {key: value for key, value in advice.items() if key in known}
    merged = advised | row.recommended | settings

    config = Config(**read_settings(Config, merged, names, classes))
    if "checkpoint_every" not in merged:  # so that short runs have ten checkpoints as well
        tenth = max(config.total_steps // 10, 1)
        config = dataclasses.replace(config, checkpoint_every=min(config.checkpoint_every, tenth))
    if together:
        row.check(config.algorithm.options, config.num_envs, config.rollout_steps)
    return config


def with_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Move the settings `env.KEY` into the name of the environment, `env`.

    Raises:
        InputError: `env` is missing, or JSON cannot represent a value.
    """
    given = {key: value for key, value in settings.items() if key.startswith("env.")}
    rest = {key: value for key, value in settings.items() if key not in given}
    if not given:
        return rest
    if rest.get("env") is None:
        raise InputError(f"{', '.join(given)}: set env as well; these are settings of an environment")
    try:
        name, args = names.split(str(rest["env"]))
        for key, value in given.items():
            args[key.removeprefix("env.")] = names.read_value(value) if isinstance(value, str) else value
        return rest | {"env": names.join(name, args)}
    except (TypeError, ValueError) as error:
        raise InputError(f"{', '.join(given)}: {error}") from None


def _critic_like_policy(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Use the settings of the policy's network for the critic's, except those that are given for the critic."""
    alike = {"hidden"} if "critic_trunk" in settings else {"hidden", "trunk"}
    theirs = {f"critic_{key}": value for key, value in settings.items() if key.split(".")[0] in alike}
    return dict(settings) | theirs | {key: settings[key] for key in theirs if key in settings}


def of_prior(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a run takes from its prior: the head, the network's sizes, `symmetric`.

    Raises:
        InputError: the prior has no policy, and its settings are needed.
    """
    prior = settings.get("prior")
    if prior is None or str(prior).lower() in ("none", "null"):
        return {}
    try:
        meta = checkpoint.load_meta(checkpoint.latest(Path(str(prior))))
        require_plugins(meta.get("plugins", {}), prior)
        spec = meta["policy"]
        network = {"trunk": dict(spec.get("trunk", {"name": "mlp"})), "hidden": tuple(spec["hidden"])}
        network["symmetric"] = bool(spec.get("mirror"))
        taken = flat({"head": dict(spec["head"])} | network)
    except (InputError, KeyError, TypeError, OSError) as error:  # OSError: the name is too long
        if {"head", "hidden"} <= settings.keys():  # a resumed run has the rest in its checkpoint
            return {}
        raise InputError(f"prior = {prior!r}: {error}") from None
    if settings.get("head", taken["head"]) != taken["head"]:  # `Prior.begin` refuses it and names the difference
        return flat(network)
    return taken


def read_settings(
    config: type, settings: Mapping[str, Any], names: Mapping[str, str], classes: Mapping[str, Any]
) -> dict[str, Any]:
    """The checked values of a config, including its parts, from dotted settings.

    Args:
        config: the dataclass.
        settings: dotted settings.
        names: the names of the chosen parts, by kind of part.
        classes: their classes.

    Raises:
        InputError: one line with the setting, its value and what is valid.
    """
    known = _keys(config, classes, settings)
    groups = {part: dict[str, Any]() for part in ("", *classes)}
    for key, value in settings.items():
        group, _, name = key.rpartition(".")
        if key not in known:
            if hint := elsewhere.instead(name):
                raise InputError(f"unknown setting {key!r}{hint}")
            prefix = f"{group}." if group in classes else ""
            near = [k.removeprefix(prefix) for k in known if k.startswith(prefix)]
            owner = f" of {group} {names[group]!r}" if prefix else ""
            raise InputError(f"unknown setting {key!r}{owner}{suggest(key.removeprefix(prefix), near, prefix)}")
        if key not in classes:
            groups[group][name] = value
    values = read_options(config, groups.pop(""))
    return values | {part: read_part(part, names[part], classes[part], groups[part]) for part in groups}


def read_part(part: str, name: str, cls: Any, options: Mapping[str, Any]) -> Part:
    """A part with checked options.

    Raises:
        InputError: one line with the option, its value and what is valid.
    """
    options_type = composed(cls.Options, options)
    return Part(name, options_type(**read_options(options_type, options, f"{part}.")))


def plugins_of(config: Any, algorithm: bool = True) -> dict[str, dict[str, str | None]]:
    """The plug-ins that define a config's task and parts, in the format of `plugins_behind`.

    Args:
        config: a Config or a CloneConfig.
        algorithm: include the algorithm and the loggers, which a policy does not need.
    """
    chosen = {part: getattr(config, part) for part in PARTS if hasattr(config, part)}
    if not algorithm:
        chosen.pop("algorithm", None)
    classes = [PARTS[part][0]()[one.name] for part, one in chosen.items()]
    for one in chosen.values():  # parts that are named in options, such as a tokenizer
        named = [f for f in dataclasses.fields(one.options) if f.metadata.get("part")]
        classes += [f.metadata["part"]()[getattr(one.options, f.name)] for f in named]
    classes += [catalog.loggers()[name] for name in config.logger] if algorithm else []
    return plugins_behind([catalog.origin(config.env), *classes])


def _keys(config: type, classes: Mapping[str, Any], settings: Mapping[str, Any]) -> set[str]:
    """The names of all settings of a config with parts of these classes."""
    keys = {f.name for f in dataclasses.fields(config) if f.metadata} | {*classes}
    keys |= {f"env.{name}" for name in catalog.settings_of(str(settings.get("env")))}
    for part, cls in classes.items():
        given = {key.removeprefix(f"{part}."): value for key, value in settings.items() if key.startswith(f"{part}.")}
        keys |= {f"{part}.{f.name}" for f in dataclasses.fields(composed(cls.Options, given))}
    return keys


# older files have these options of tokenizers for every tokenizer; the value none has no meaning
OLDER = ("head.codes", "head.levels", "head.length", "head.scale")


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Convert nested settings to dotted ones: `head: {name: binned, bins: 11}` becomes `head`, `head.bins`.

    Raises:
        InputError: `tree` is not a mapping.
    """
    if not isinstance(tree, Mapping):
        raise InputError(f"settings = {one_line(repr(tree), 100)}: must be a mapping, such as {{'env': 'Hopper-v5'}}")
    out: dict[str, Any] = {}
    for key, value in tree.items():
        key, value = f"{prefix}{plain(key)}".replace("-", "_"), plain(value)
        if isinstance(value, Mapping):
            out |= flat(value, f"{key}.")
        elif key.endswith(".name"):
            out[key.removesuffix(".name")] = value
        elif key not in OLDER or value is not None:
            out[key] = value
    return out


def nested(config: Any) -> dict[str, Any]:
    """Convert a config to plain nested values, for YAML."""
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    parts = {name: part for name, part in values.items() if isinstance(part, Part)}
    values |= {name: {"name": part.name} | dataclasses.asdict(part.options) for name, part in parts.items()}
    return values | {name: list(value) for name, value in values.items() if isinstance(value, tuple)}


def read_yaml(path: Path) -> dict[str, Any]:
    """Dotted settings from a YAML file.

    Raises:
        InputError: the file does not exist, or does not hold a mapping of settings.
    """
    return flat(yaml_file.read(path, "settings such as `env: HalfCheetah-v5`, one a line"))


def yaml_of(config: Any) -> str:
    """A config as YAML, with all values."""
    return yaml.safe_dump(nested(config), sort_keys=False)
