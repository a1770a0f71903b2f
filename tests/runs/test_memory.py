"""Settings that do not fit into memory are an error before anything is made; every setting has a sensible limit."""

import dataclasses
import importlib
import pkgutil
import typing
from contextlib import closing
from pathlib import Path

import pgcontrol_envs
import pytest
import torch

import pgcontrol
from pgcontrol import arguments, cli, commands
from pgcontrol.machine import devices, memory
from pgcontrol.machine.ranks import Ranks
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import Config, configure
from pgcontrol.runs.memory import require_training
from pgcontrol.trunks.base import Trunk

ABSURD = 10**12
TABLES = {
    "head": catalog.heads,
    "critic": catalog.critics,
    "trunk": catalog.trunks,
    "tokenizer": catalog.tokenizers,
    "algorithm": catalog.algorithms,
}
OPTIONS = {f"{kind} {name}": part.Options for kind, table in TABLES.items() for name, part in table().items()}
OPTIONS |= {name: one for name, one in vars(arguments).items() if dataclasses.is_dataclass(one)}
MODULES = [
    importlib.import_module(f"{commands.__name__}.{one.name}") for one in pkgutil.iter_modules(commands.__path__)
]
OPTIONS |= {m.__name__: m.Options for m in MODULES if hasattr(m, "Options")} | {"Config": Config, "Clone": CloneConfig}


def whole_numbers(options_type):
    hints = typing.get_type_hints(options_type)
    for field in dataclasses.fields(options_type):
        kinds = {hints[field.name], *typing.get_args(hints[field.name])}
        if int in kinds and field.metadata:
            yield field


@pytest.mark.parametrize("name", OPTIONS)
def test_every_whole_number_has_limits(name):
    for field in whole_numbers(OPTIONS[name]):
        limits = field.metadata["limits"]
        assert limits["least"] is not None, field.name
        assert limits["most"] is not None, field.name
        assert limits["most"] < ABSURD or field.name == "seed", field.name


NUMBERS = [(field.name, "ppo") for field in whole_numbers(Config) if field.name != "seed"]
NUMBERS += [
    (f"algorithm.{field.name}", name)
    for name in ("ppo", "decqn", "trpo", "grpo", "a3c")
    for field in whole_numbers(catalog.algorithms()[name].Options)
]


@pytest.mark.parametrize(("name", "algorithm"), NUMBERS)
def test_an_absurd_number_is_one_line(name, algorithm, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flag = "--" + name.replace("_", "-")
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "Hopper-v5", "--algorithm", algorithm, flag, str(ABSURD)])
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert name in error
    assert [*tmp_path.iterdir()] == []


LARGE = [  # of a machine of 500 MB; what most would fit is there
    ("rollout_steps", {"rollout_steps": 10**6}),
    ("num_envs", {"num_envs": 60_000, "rollout_steps": 512}),
    ("hidden", {"hidden": (9000, 9000), "critic_hidden": (8,)}),
    ("critic_hidden", {"critic_hidden": (9000, 9000), "hidden": (8,)}),
    ("hidden", {"hidden": (5000, 5000), "trunk": "residual-layernorm", "critic_hidden": (8, 8)}),
    ("algorithm.capacity", {"algorithm": "decqn", "total_steps": 10**8, "algorithm.capacity": 10**8}),
    ("algorithm.workers", {"algorithm": "a3c", "algorithm.workers": 60}),
    ("env_workers", {"env": "gym:Hopper-v5", "env_workers": 200}),
]


@pytest.mark.parametrize(("name", "settings"), LARGE)
def test_what_does_not_fit_names_the_number_that_does(name, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "available", lambda: 500e6)
    with pytest.raises(InputError, match=rf"^{name} = .*GB are free; at most (\d+) would fit$") as refused:
        pgcontrol.train({"env": "Hopper-v5"} | settings)
    assert [*tmp_path.iterdir()] == []
    fits = int(str(refused.value).split()[-3])
    config = configure({"env": "Hopper-v5"} | settings)
    require_training(having(config, name, fits))
    with pytest.raises(InputError, match=name):
        require_training(having(config, name, fits + 1))


def having(config, name, number):
    """The config with another number for a setting; no width beyond it."""
    if name.startswith("algorithm."):
        options = dataclasses.replace(config.algorithm.options, **{name.removeprefix("algorithm."): number})
        return dataclasses.replace(config, algorithm=dataclasses.replace(config.algorithm, options=options))
    value = tuple(min(width, number) for width in getattr(config, name)) if "hidden" in name else number
    return dataclasses.replace(config, **{name: value})


def test_wide_heads_count(monkeypatch):
    """A thousand bins a joint take memory in every sample."""
    config = configure({"env": "Humanoid-v5", "head": "binned", "head.bins": 1024, "rollout_steps": 4096})
    monkeypatch.setattr(memory, "available", lambda: 4e9)
    small = configure({"env": "Humanoid-v5", "head": "binned", "head.bins": 11, "rollout_steps": 4096})
    with closing(pgcontrol_envs.make("Humanoid-v5", 1)) as env:
        require_training(small, env)
        with pytest.raises(InputError, match=r"^rollout_steps = 4096: .* would fit"):
            require_training(config, env)


@pytest.mark.parametrize("lever", [{"noise_beta": 0.5}, {"algorithm.reuse": 50}], ids=str)
def test_what_levers_keep_counts(lever, monkeypatch):
    """A sequence of noise for each of three joints of each environment; 49 rollouts."""
    plain = {"env": "Hopper-v5", "num_envs": 20_000, "rollout_steps": 1}
    monkeypatch.setattr(memory, "available", lambda: 4e8)
    with closing(pgcontrol_envs.make("Hopper-v5", 1)) as env:
        require_training(configure(plain), env)
        with pytest.raises(InputError, match=r"^num_envs = 20000: .* would fit"):
            require_training(configure(plain | lever), env)


def test_each_process_needs_room_on_its_own_device(monkeypatch):
    """Two processes share the environments, so that twice as many fit, and the second one fills the second GPU."""
    room, asked = {"cuda:0": 0.0, "cuda:1": 190e6}, []

    def available(device: torch.device) -> float:
        asked.append(str(device))
        return room[str(device)]

    monkeypatch.setattr(devices, "available", available)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    many = {"env": "Hopper-v5", "device": "cuda", "rollout_steps": 1, "num_envs": 60_000}
    with pytest.raises(InputError, match=r"^num_envs = 60000: .* 0\.0 GB are free"):
        require_training(configure(many), ranks=Ranks(0, 2, 0))
    require_training(configure(many), ranks=Ranks(1, 2, 1))
    room["cuda:0"] = 190e6
    with pytest.raises(InputError, match=r"^num_envs = 60000: .* 0\.2 GB are free"):
        require_training(configure(many))
    assert asked == ["cuda:0", "cuda:1", "cuda:0"]
    monkeypatch.setattr(devices, "available", lambda device: 190e6)  # on a CPU, the processes share one memory
    with pytest.raises(InputError, match=r"^num_envs = 60000: .* 0\.2 GB are free"):
        require_training(configure(many | {"device": "cpu"}), ranks=Ranks(1, 2, 1))


@pytest.mark.parametrize("name", catalog.trunks())
@pytest.mark.parametrize("hidden", [(8, 8), (5,)])
def test_a_trunk_knows_its_weights(name, hidden):
    kind: type[Trunk] = catalog.trunks()[name]
    made = kind(7, hidden, kind.Options())
    assert kind.weights(7, hidden, kind.Options()) == sum(p.numel() for p in made.parameters())


def test_the_estimate_draws_nothing_from_torchs_generator(monkeypatch):
    config, before = configure({"env": "Hopper-v5"}), torch.get_rng_state()
    with closing(pgcontrol_envs.make("Hopper-v5", 1)) as env:
        require_training(config, env)
    assert torch.equal(before, torch.get_rng_state())


def test_a_clone_of_a_dataset_that_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "available", lambda: 100e3)
    dataset = Path(__file__).parents[1] / "fixtures" / "2026_11" / "dataset"
    with pytest.raises(InputError, match=r"^\w.* = \d+: a clone needs .* GB"):
        pgcontrol.clone({"dataset": str(dataset)})
    assert [*tmp_path.iterdir()] == []


def test_the_tightest_of_machine_and_control_group_counts(tmp_path):
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert memory.available(tmp_path) == float("inf")
    write("proc/meminfo", "MemTotal:  99 kB\nMemAvailable:       2000 kB\n")
    assert memory.available(tmp_path) == 2_048_000
    write("sys/fs/cgroup/memory.max", "max\n")
    write("sys/fs/cgroup/memory.current", "5\n")
    assert memory.available(tmp_path) == 2_048_000
    write("sys/fs/cgroup/memory.max", "1000005\n")
    assert memory.available(tmp_path) == 1_000_000
    assert memory.available() > 1e6
