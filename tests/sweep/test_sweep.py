"""The YAML of a sweep: its cells, and errors before anything runs."""

import json

import pytest

from pgcontrol.options import InputError
from pgcontrol.sweep.cell import command
from pgcontrol.sweep.sweep import read_sweep
from tests.sweep.worlds import SWEEP


def test_cells(sweep):
    assert [cell.name for cell in sweep.cells] == [
        "Reacher-v5-gaussian-s0",
        "Reacher-v5-gaussian-s1",
        "InvertedPendulum-v5-bins-bins=2-s7",
        "InvertedPendulum-v5-bins-bins=3-s7",
    ]
    assert (
        sweep.cells[2].settings | {"head": "binned", "head.bins": 2, "seed": 7, "total_steps": 512}
        == sweep.cells[2].settings
    )
    assert sweep.arms() == ["gaussian", "bins bins=2", "bins bins=3"]
    assert sweep.envs() == ["Reacher-v5", "InvertedPendulum-v5"]


def test_only_what_is_varied_is_in_an_arms_name(tmp_path):
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("head.bins: [2, 3]", "head.bins: 2, total_steps: 1024"))
    assert read_sweep(tmp_path / "heads.yaml").arms() == ["gaussian", "bins"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("baseline: gaussian", "baseline: gausian", "unknown baseline 'gausian'; did you mean 'gaussian'"),
        ("question:", "qestion:", "unknown key 'qestion'; did you mean 'question'"),
        ("arm: gaussian", "arm: gausian", "unknown arm 'gausian'; did you mean 'gaussian'"),
        (
            "plots: [train/std]",
            "thresholds: {Reach-v5: 3}",
            "thresholds: 'Reach-v5' is not a task of the grid; did you",
        ),
        (
            "{head: binned}",
            "{head: bined}",
            "arm 'bins bins=2' on InvertedPendulum-v5: unknown head 'bined'; did you mean",
        ),
        ("env: Reacher-v5", "env: Reach-v5", "arm 'gaussian' on Reach-v5: unknown env 'Reach-v5'"),
        ("{env: Reacher-v5, arm: gaussian, seed: 2}", "{arm: gaussian}", "grid must name at least an env"),
        ("seed: 2", "seed: two", "seed = 'two': must be a number of seeds or a list"),
        ("budget: 512", "budget: few", "total_steps = 'few': must be a whole number"),
        ("question: Does", "question: [", "not YAML"),
        (
            "arm: bins, seed: [7], head.bins: [2, 3]}",
            "arm: bins, seed: 8}\n  - {env: InvertedPendulum-v5, arm: bins, seed: [7], head.bins: 5}",
            "grid: arm 'bins' on InvertedPendulum-v5 differs between seeds 0 and 7 (head.bins unset, there 5);",
        ),
        (  # seeds of two settings are no seeds of one arm
            "seed: [7], head.bins: [2, 3]}",
            "seed: [0], head.bins: 2}\n  - {env: InvertedPendulum-v5, arm: bins, seed: [1], head.bins: 3}",
            "grid: arm 'bins' on InvertedPendulum-v5 differs between seeds 0 and 1 (head.bins 2, there 3);",
        ),
        ("plots: [train/std]", f"thresholds: {{Reacher-v5: {10**400}}}", "thresholds: Reacher-v5 = 1000000"),
        (
            "plots: [train/std]",
            f"references: {{Reacher-v5: {{us: {10**400}}}}}",
            "references: Reacher-v5: us: return = 1",
        ),
        ("settings: {video: false", "settings: {? {a: 1} : 2, video: false", "not YAML"),
        (
            "gaussian: {head: gaussian}",
            "gaussian: {}\n  gaussian: {head: gaussian}",
            "line 9: 'gaussian' is a duplicate key",
        ),
        ("bins: {head: binned}", "bins: binned", "arms: bins = 'binned': must map settings to values, such as {head: "),
        ("bins: {head: binned}", "bins: [binned]", "arms: bins = ['binned']: must map settings to values, such as"),
        ("bins: {head: binned}", "11: {head: binned}", "arms: 11: a name must be text; put it in quotes"),
        ("baseline: gaussian", "baseline: [gaussian]", "unknown baseline ['gaussian']; did you mean 'gaussian'"),
        ("plots: [train/std]", "plots: 3", "plots = 3: must be a list of metrics, such as [train/kl]"),
        ("plots: [train/std]", "plots: [3]", "plots = [3]: must be a list of metrics, such as [train/kl]"),
        ("plots: [train/std]", "thresholds: {Reacher-v5: .nan}", "thresholds: Reacher-v5 = nan: must be a number"),
        ("plots: [train/std]", "thresholds: .nan", "thresholds = nan: must map tasks to returns, such as"),
        ("seed: 2", "seed: true", "grid: seed = True: must be a number of seeds or a list"),
        ("seed: 2", "seed: 0", "grid: seed = 0: the grid is empty; give a number of seeds or a list"),
        ("seed: 2", "seed: -2", "grid: seed = -2: the grid is empty"),
        ("seed: [7]", "seed: []", "grid: seed = []: the grid is empty"),
        ("seed: [7]", "seed: [7, 7]", "grid: seed = [7, 7]: two variants are the same run"),
        ("env: Reacher-v5", "env: []", "grid: env = []: the grid is empty"),
        ("head.bins: [2, 3]", "head.bins: []", "grid: head.bins = []: the grid is empty"),
        (
            "head.bins: [2, 3]",
            "hidden: [64, 64]",
            "grid: hidden = [64, 64]: two variants are the same run; if this list is one value, put it in a list:"
            " [[64, 64]]",
        ),
        (SWEEP[SWEEP.index("grid") :], "grid: []", "grid must name at least an env"),
        ('compile: "off"', "compile: off", "compile = False: must be text; YAML reads on, off, yes and no as true"),
        ("{video: false,", "{video: false, seed: 3,", "settings: seed = 3: set it in the grid"),
        ("{video: false,", "{video: false, env: Hopper-v5,", "settings: env = 'Hopper-v5': set it in the grid"),
        ("{video: false,", "{video: false, run_dir: x,", "settings: run_dir = 'x': every run has its own folder"),
        ("{head: binned}", "{head: binned, seed: 3}", "arms: bins: seed = 3: set it in the grid"),
        ("{video: false,", "{video: false, total_steps: 3,", "settings: total_steps = 3: budget already sets it"),
        (
            "plots: [train/std]",
            "references: {Reach-v5: {PPO: 3}}",
            "references: 'Reach-v5' is not a task of the grid; did you mean 'Reacher-v5'?",
        ),
        ("plots: [train/std]", "references: [3]", "references = [3]: must map tasks to names and returns, such as"),
        ("plots: [train/std]", "references: {Reacher-v5: 3}", "references: Reacher-v5 = 3: must map names to returns"),
        (
            "plots: [train/std]",
            "references: {Reacher-v5: {PPO: {retrun: 3}}}",
            "references: Reacher-v5: PPO: unknown key 'retrun'; did you mean 'return'?",
        ),
        (
            "plots: [train/std]",
            "references: {Reacher-v5: {PPO: {seconds: 3}}}",
            "references: Reacher-v5: PPO = {'seconds': 3}: must be a return, or {return: 5784, seconds: 900, note: v3}",
        ),
        (
            "plots: [train/std]",
            "references: {Reacher-v5: {PPO: high}}",
            "references: Reacher-v5: PPO: return = 'high': must be a number",
        ),
        (
            "plots: [train/std]",
            "references: {Reacher-v5: {PPO: {return: 3, seconds: 0}}}",
            "references: Reacher-v5: PPO: seconds = 0.0: must be greater than 0",
        ),
        (
            "plots: [train/std]",
            "references: {Reacher-v5: {PPO: {return: 3, seeds: 0}}}",
            "references: Reacher-v5: PPO: seeds = 0: must be at least 1",
        ),
        (
            "plots: [train/std]",
            "references: {Reacher-v5: {PPO: {return: 3, seeds: sevral}}}",
            "references: Reacher-v5: PPO: seeds = 'sevral': must be a number, or several",
        ),
        ("plots: [train/std]", "borrow: 3", "borrow = 3: must be a list of other sweeps, such as [heads.yaml]"),
        ("plots: [train/std]", "borrow: haeds.yaml", "borrow: 'haeds.yaml' is no other sweep in this folder"),
        ("plots: [train/std]", f"borrow: {'x' * 300}", "is no other sweep in this folder"),
        ("plots: [train/std]", "borrow: heads.yaml", "borrow: 'heads.yaml' is no other sweep in this folder"),
        (
            "plots: [train/std]",
            "design: ten seeds",
            "design = 'ten seeds': must map headings to text, such as {Seeds: ",
        ),
        ("plots: [train/std]", "design: {Seeds: 10}", "design = {'Seeds': 10}: must map headings to text"),
        ("head.bins: [2, 3]", "run_dir: x", "grid: run_dir = 'x': every run has its own folder"),
    ],
)
def test_refused_before_anything_runs(tmp_path, old, new, says):
    file = tmp_path / "heads.yaml"
    file.write_text(SWEEP.replace(old, new))
    with pytest.raises(InputError) as error:
        read_sweep(file)
    assert str(error.value).startswith(str(file))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_key_without_a_value_is_as_good_as_absent(tmp_path):
    file = tmp_path / "heads.yaml"
    empty = "question:\nbudget: 512\nsettings:\narms: {a:, b: {}}\ngrid: {env: Reacher-v5}\n"
    file.write_text(empty + "baseline:\nplots:\nthresholds:\nreferences:\nborrow:\ndesign:\n")
    found = read_sweep(file)
    assert (found.question, found.baseline, found.plots, found.thresholds) == ("", None, [], {})
    assert (found.references, found.borrow, found.design, len(found.cells)) == ({}, [], {}, 2)


def test_a_part_may_be_given_whole_in_a_grid(tmp_path):
    parts = "head: [{name: binned, bins: 3}, {name: token}]"
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("head.bins: [2, 3]", parts))
    said = [" ".join(command(cell.settings, tmp_path)) for cell in read_sweep(tmp_path / "heads.yaml").cells[2:]]
    assert "--head binned --head.bins 3" in said[0]
    assert "--head token" in said[1]


def test_two_arms_never_share_a_run_folder(tmp_path):
    (tmp_path / "heads.yaml").write_text("arms: {a b: {}, a-b: {}}\ngrid: {env: Reacher-v5}")
    with pytest.raises(InputError, match="would share the run folder Reacher-v5-a-b-s0; rename one") as error:
        read_sweep(tmp_path / "heads.yaml")
    assert "'a b' on Reacher-v5 and 'a-b' on Reacher-v5" in str(error.value)


def test_one_metric_to_plot_needs_no_list(tmp_path):
    (tmp_path / "heads.yaml").write_text(SWEEP.replace("[train/std]", "train/std"))
    assert read_sweep(tmp_path / "heads.yaml").plots == ["train/std"]


@pytest.mark.parametrize("arms", [{"a" * 300: {}}, {"é" * 150: {}}, {"a" * 100 + " " + "b" * 100: {}}])
def test_a_name_that_no_folder_can_have_is_refused_when_it_is_read(arms, tmp_path):
    (tmp_path / "long.yaml").write_text(json.dumps({"arms": arms, "grid": {"env": "Reacher-v5"}}))
    with pytest.raises(
        InputError, match=r"on Reacher-v5 makes a folder name of \d+ bytes, more than 200; shorten the arm"
    ):
        read_sweep(tmp_path / "long.yaml")


def test_found_settings_are_no_sweep(tmp_path):
    (tmp_path / "heads.found.yaml").write_text("gaussian: {settings: {}}")
    with pytest.raises(InputError, match=r"that a search found; name its sweep, heads.yaml$"):
        read_sweep(tmp_path / "heads.found.yaml")
