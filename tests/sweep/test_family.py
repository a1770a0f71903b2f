"""The block `family:`."""

import pytest

from pgcontrol.cli import main
from pgcontrol.sweep.family import TOGETHER, Family
from pgcontrol.sweep.sweep import read_sweep

YAML = """
arms: {gaussian: {head: gaussian}, bins: {head: binned}, beta: {head: beta}}
baseline: gaussian
grid:
  - {env: [Hopper-v5, Ant-v5], arm: [gaussian, bins], seed: 2}
  - {env: Hopper-v5, arm: beta}
  - {env: Reacher-v5, arm: bins}
"""
EVERY = [("Hopper-v5", "bins"), ("Ant-v5", "bins"), ("Hopper-v5", "beta")]


@pytest.mark.parametrize(
    ("said", "family", "comparisons"),
    [
        ("", Family(), EVERY),  # on Reacher there is no baseline
        ("family: {margin: 0.2, paired: true}", Family(margin=0.2, paired=True), EVERY),
        ("family: {arms: [gaussian, bins]}", Family(arms=("gaussian", "bins")), EVERY[:2]),
        ("family: {tasks: Ant-v5}", Family(tasks=("Ant-v5",)), EVERY[1:2]),
        ("family: {together: true}", Family(together=True), [(TOGETHER, "bins"), *EVERY]),  # beta has only one task
        ("family: {against: {beta: bins}}", Family(against={"beta": "bins"}), EVERY),
        ("family: {against: {bins: beta}}", Family(against={"bins": "beta"}), [EVERY[0], EVERY[2]]),
    ],
)
def test_the_comparisons_of_a_family(tmp_path, said, family, comparisons):
    (tmp_path / "heads.yaml").write_text(YAML + said)
    sweep = read_sweep(tmp_path / "heads.yaml")
    assert (sweep.family, sweep.comparisons()) == (family, comparisons)


def test_without_a_baseline_nothing_is_compared(tmp_path):
    (tmp_path / "heads.yaml").write_text(YAML.replace("baseline: gaussian\n", ""))
    assert read_sweep(tmp_path / "heads.yaml").comparisons() == []


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("family: [bins]", "family = ['bins']: must map arms, tasks, margin, together, paired and against to values"),
        ("family: {against: bins}", "family.against = 'bins': must map arms to arms, such as {ordinal: binned}"),
        ("family: {against: {beta: bin}}", "unknown arm 'bin'; did you mean 'bins'? (family.against)"),
        (
            "family: {against: {beta: beta}}",
            "family.against = {'beta': 'beta'}: 'beta': an arm cannot be compared with it",
        ),
        (
            "family: {against: {gaussian: bins}}",
            "family.against = {'gaussian': 'bins'}: 'gaussian': the baseline has no",
        ),
        ("family: {arm: [bins]}", "unknown setting 'family.arm'; did you mean 'family.arms'?"),
        ("family: {arms: [bin]}", "unknown arm 'bin'; did you mean 'bins'? (family.arms)"),
        ("family: {tasks: [Hoper-v5]}", "unknown task 'Hoper-v5'; did you mean 'Hopper-v5'? (family.tasks)"),
        ("family: {margin: 0}", "family.margin = 0.0: must be greater than 0"),
        ("family: {margin: 10 %}", "family.margin = '10 %': must be a number"),
        ("family: {paired: seeds}", "family.paired = 'seeds': must be true or false"),
        ("family: {tasks: [Reacher-v5]}", "family = {'tasks': ['Reacher-v5']}: there is nothing to compare: no other"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(tmp_path, capsys, said, line):
    (tmp_path / "heads.yaml").write_text(YAML + said)
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(tmp_path / "heads.yaml"), "--runs", str(tmp_path / "runs")])
    error = capsys.readouterr().err
    assert error.startswith(f"pgcontrol: {tmp_path / 'heads.yaml'}: {line}")
    assert error.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["heads.yaml"]
