"""What a run's settings must satisfy together with its algorithm, its processes and its device."""

from pgcontrol.learning.algorithms import Algorithm
from pgcontrol.machine.ranks import Ranks
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.config import Config


def require(config: Config, ranks: Ranks) -> int:
    """Check a config before anything is created.

    Returns:
        The number of environments of each rank.

    Raises:
        InputError: names the setting, its value and the reason.
    """
    algorithm = catalog.algorithms()[config.algorithm.name]
    if config.peer != "none":
        alone = "only `pgcontrol train` and `compare` make such runs, in one process"
        raise InputError(f"peer = {config.peer!r}: {alone}")
    if config.prior and not algorithm.rule.heeds_prior:
        raise InputError(f"prior = {config.prior!r}: algorithm {algorithm.name!r} cannot start from a prior")
    if algorithm.sampling.asynchronous:
        _require_asynchronous(config, algorithm)
    num_envs = _part_of(config, algorithm, ranks)
    _require_plain(config, algorithm)
    return num_envs


def _require_asynchronous(config: Config, algorithm: Algorithm) -> None:
    """Refuse what workers with their own copies of the policy cannot do."""
    if config.average_from is not None:
        many = f"algorithm {algorithm.name!r} updates the weights in several processes"
        raise InputError(f"average_from = {config.average_from}: cannot average: {many}")
    if config.compile == "on":
        raise InputError(f"compile = 'on': the workers of algorithm {algorithm.name!r} do not compile; use auto or off")
    if algorithm.rule.memory(config.algorithm.options, 1, 1, 1):
        raise InputError(f"algorithm {algorithm.name!r}: its workers cannot share a memory of past rollouts")
    if config.on_collapse == "widen":
        others = f"the policies in the workers of {algorithm.name!r} cannot be widened; use warn or stop"
        raise InputError(f"on_collapse = 'widen': {others}")


def _part_of(config: Config, algorithm: Algorithm, ranks: Ranks) -> int:
    """The number of environments per rank."""
    count = config.num_envs
    if ranks.size == 1:
        return count
    if algorithm.sampling.asynchronous:
        raise InputError(f"algorithm {algorithm.name!r} starts processes of its own: run it without torchrun")
    ranks.require_even("num_envs", count)
    algorithm.sampling.check(config.algorithm.options, count // ranks.size)
    return count // ranks.size


def _require_plain(config: Config, algorithm: Algorithm) -> None:
    """Refuse what works only with MuJoCo's own physics and on the CPU."""
    device = config.device != "cpu"
    for name in ("nconmax", "njmax"):
        if getattr(config, name) is not None and config.physics != "warp":
            raise InputError(f"{name} = {getattr(config, name)}: only physics warp reserves room; add --physics warp")
    if not device and config.physics == "native":
        return
    setting = f"device = {config.device!r}" if device else f"physics = {config.physics!r}"
    if algorithm.sampling.asynchronous:
        raise InputError(f"{setting}: the workers of algorithm {algorithm.name!r} use the CPU and native physics")
    if device and config.compile == "on":
        raise InputError(f"compile = 'on': steps are compiled on the CPU only, and {setting}; use auto or off")
    if config.physics == "warp":
        if algorithm.sampling.copies:
            copies = f"algorithm {algorithm.name!r} copies states between environments within a rollout"
            raise InputError(f"physics = 'warp': {copies}; use native")
        if config.env.startswith("gym:"):
            raise InputError(f"physics = 'warp': {config.env} has a simulator of its own; only tasks can change theirs")
