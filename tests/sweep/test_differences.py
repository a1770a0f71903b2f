"""Settings in which arms differ, in the YAML and outside it."""

from pgcontrol.machine.terminal import Terminal
from pgcontrol.reporting.compare import carry_out
from pgcontrol.sweep.cell import Key
from pgcontrol.sweep.differences import implied, stated
from pgcontrol.sweep.executor import Executor
from pgcontrol.sweep.sweep import read_sweep

ARMS = """
budget: 512
arms: {gaussian: {head: gaussian}, bins: {head: binned}}
grid: {env: Hopper-v5, seed: 2}
"""

SMALL, LARGE = {"head.initial_std": 0.37, "algorithm.learning_rate": 3e-4}, {"algorithm.learning_rate": 1e-3}


def setup(env: str = "Hopper-v5", arm: str = "a", run: dict | None = None, **said: object) -> tuple[Key, dict, dict]:
    dotted = {key.replace("__", "."): value for key, value in said.items()}
    return Key(env, arm, 0), dotted, (run or {}) | dotted


def test_settings_that_come_from_recommendations_are_listed():
    runs = [setup(arm="a", run=SMALL, head="gaussian"), setup(arm="b", run=LARGE), setup(arm="c", run=LARGE)]
    assert implied(runs) == ["algorithm.learning_rate: a 0.0003; b / c 0.001"]


def test_settings_of_the_yaml_are_not_listed():
    assert implied([setup(arm="a", run=SMALL), setup(arm="b", algorithm__learning_rate=1e-3)]) == []
    assert implied([setup(arm="a", hidden=(64, 64)), setup(arm="b", hidden=(32,))]) == []


def test_of_three_arms_those_without_the_setting_in_the_yaml_are_listed():
    runs = [setup(arm="a", run=SMALL), setup(arm="b", run=LARGE), setup(arm="c", algorithm__learning_rate=0.1)]
    assert implied(runs) == ["algorithm.learning_rate: a 0.0003; b 0.001"]


def test_the_arms_of_a_large_group_are_the_others():
    runs = [setup(arm=arm, run=SMALL if arm == "b" else LARGE) for arm in "abcd"]
    assert implied(runs) == ["algorithm.learning_rate: b 0.0003; the others 0.001"]


def test_an_option_that_one_arm_alone_has_is_no_difference():
    assert implied([setup(arm="a", run={"head.bins": 11}), setup(arm="b", run={"head.min_std": 1e-3})]) == []


def test_tasks_are_named_where_not_all_are_alike_and_seeds_count_once():
    both = [("Hopper-v5", "a", SMALL), ("Hopper-v5", "b", LARGE), ("Fork-v0", "a", LARGE), ("Fork-v0", "b", LARGE)]
    runs = [setup(env, arm, run, seed=seed) for seed in (0, 1) for env, arm, run in both]
    assert implied(runs) == ["Hopper-v5: algorithm.learning_rate: a 0.0003; b 0.001"]


def test_values_are_written_as_one_would_type_them():
    runs = [
        setup(arm="a", run={"hidden": (64, 64), "video": True}),
        setup(arm="b", run={"hidden": (8,), "video": None}),
    ]
    assert implied(runs) == ["hidden: a 64,64; b 8", "video: a true; b none"]


def test_compare_tells_before_anything_runs(tmp_path, capsys):
    (tmp_path / "arms.yaml").write_text(ARMS)
    carry_out(read_sweep(tmp_path / "arms.yaml"), Executor(), tmp_path / "runs", Terminal(), dry=True)
    printed = capsys.readouterr().out
    assert "the arms also differ in settings that the YAML does not set:\n" in printed
    assert "\n  algorithm.learning_rate: gaussian 0.0003; bins 0.001\n" in printed
    assert "head.bins" not in printed


def test_what_the_yaml_sets_for_each_arm():
    """Without the task, the seed, and settings that are the same for all arms."""
    keys = [Key("Hopper-v5", "a", 0), Key("Hopper-v5", "b", 0), Key("Ant-v5", "b", 1)]
    given = [{"head": "binned", "head.bins": 3}, {"head": "gaussian"}, {"head": "beta"}]
    runs = [
        (key, {"env": key.env, "seed": key.seed, "video": False} | own) for key, own in zip(keys, given, strict=True)
    ]
    assert stated(runs) == {"a": "head: binned, head.bins: 3", "b": "head: gaussian / beta"}
