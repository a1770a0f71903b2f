"""The block `search:`, and errors before anything runs."""

import pytest
import yaml

from pgcontrol.options import InputError
from pgcontrol.sweep import space
from pgcontrol.sweep.search import SAMPLERS, Search
from tests.sweep.searches import SEARCH, search_of, written

RATE = "{low: 1.0e-4, high: 1.0e-2, log: true}"


def changed(**values) -> dict:
    """The sweep with other values in its search."""
    tree = yaml.safe_load(SEARCH)
    tree["search"] |= values
    return tree


def asked(folder, text: str | dict = SEARCH) -> Search:
    return search_of(written(folder, text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False)))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("learning_rate: {", "learning_rat: {", "search: space: unknown setting 'algorithm.learning_rat' of algorithm"),
        ("head.bins: [5, 7]", "head.bin: [5, 7]", "did you mean 'head.bins'?"),
        ("low: 1.0e-4, high: 1.0e-2", "low: 1.0e-2, high: 1.0e-4", "low = 0.01 and high = 0.0001: low must be less"),
        ("low: 1.0e-4", "low: 0", "low = 0: must be greater than 0 in a logarithmic range"),
        ("low: 1.0e-4", "low: few", "low = 'few': must be a number; a range is {low: "),
        ("log: true", "logg: true", "unknown key 'logg'; did you mean 'log'?"),
        ("log: true", "step: 1.0", "step = 1.0: must be greater than 0 and at most 0.0099"),
        ("head.bins: [5, 7]", "head.mean: [mode]", "unknown setting 'head.mean'"),
        ("head.bins: [5, 7]", "trunk: [mlp, mpl]", "search: space: unknown trunk 'mpl'; did you mean 'mlp'?"),
        ("[5, 7]", "[]", "head.bins = []: must be {low: "),
        ("[5, 7]", "[5, 5]", "head.bins = [5, 5]: a value occurs twice"),
        ("[5, 7]", "[5, 1]", "search: space: head.bins = 1: must be at least 2"),
        ("[5, 7]", "{choices: [5, 7], arms: [bin]}", "unknown arm 'bin'; did you mean 'bins'? (search: space"),
        ("[5, 7]", "{choices: [5, 7], arms: [gaussian]}", "unknown setting 'head.bins' of head 'gaussian'"),
        (
            "head.bins: [5, 7]",
            "compile: ['on']",
            "compile: gaussian already sets it to 'off', so it cannot be searched",
        ),
        ("head.bins: [5, 7]", "hidden: {low: 32, high: 64}", "hidden = 32 to 64: not a number, so it needs a list"),
        ("head.bins: [5, 7]", "seed: [5, 7]", "seed"),
        (
            "seeds: [100, 101]",
            "seeds: [0, 100]",
            "search: seeds: 0 is a seed of the grid; use other seeds",
        ),
        ("seeds: [100, 101]", "seeds: 2", "search: seeds = 2: must be a list, such as [100, 101]"),
        ("seeds: [100, 101]", "seeds: [100, 100]", "search: seeds = [100, 100]: a value occurs twice"),
        ("  seeds: [100, 101]\n", "", "search: seeds = None: must be a list"),
        (
            "[InvertedPendulum-v5]",
            "[InvertedPendulm-v5]",
            "reference: 'InvertedPendulum-v5' is not a task of the search",
        ),
        (
            "gaussian: {head: gaussian}",
            "gaussian: {peer: sb3}",
            "arm 'gaussian': a peer's runs are not evaluated",
        ),
        ("  reference: {InvertedPendulum-v5: 1000}\n", "", "InvertedPendulum-v5 is missing: give returns that are"),
        ("reference: {InvertedPendulum-v5: 1000}", "score: rank", "pruner = 'median': a rank is only known at the end"),
        ("trials: 4", "trials: {gaussian: 4, bins: 8}", "must be one number, the same for every arm"),
        ("trials: 4", "trials: 0", "search.trials = 0: must be at least 1"),
        ("  trials: 4\n", "", "search: trials missing"),
        ("trials: 4", "trails: 4", "unknown setting 'search.trails'; did you mean 'search.trials'?"),
        ("trials: 4", "trials: 4\n  sampler: tpee", "search.sampler = 'tpee': must be one of tpe, sobol, random, grid"),
        ("trials: 4", "trials: 4\n  sampler: grid", "a grid needs a list of values, or a step"),
        (
            f"{RATE}\n    head.bins: [5, 7]",
            "[1.0e-3, 3.0e-3]\n  sampler: grid",
            "trials = 4: the grid has 2 points; must",
        ),
        (RATE, "[1.0e-3, 3.0e-3]\n  sampler: grid", ""),
        ("trials: 4", "trials: 4\n  try_first: 3", "search: try_first = 3: must be a list of settings, such as ["),
        (
            "trials: 4",
            "trials: 4\n  try_first: [{head.bin: 5}]",
            "unknown setting 'head.bin'; did you mean 'head.bins'?",
        ),
        ("trials: 4", "trials: 4\n  try_first: [{head.bins: 6}]", "try_first: head.bins = 6: must be in [5, 7]"),
        (
            "trials: 4",
            "trials: 1\n  try_first: [{head.bins: 5}]",
            "try_first has 1 trial: must be fewer than trials = 1",
        ),
        ("trials: 4", "trials: 4\n  sampler: sobol\n  try_first: [{head.bins: 5}]", "only for sampler: tpe"),
        ("search:", "search: 3\nplots: []\nthresholds:", ""),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, old, new, says):
    assert old in SEARCH
    with pytest.raises(InputError) as error:
        written(tmp_path, SEARCH.replace(old, new))
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["s.yaml"]


def test_a_grid_of_another_size_for_each_arm_is_refused(tmp_path):
    grid = {"sampler": "grid", "trials": 4}
    with pytest.raises(InputError, match=r"different numbers of points per arm \(gaussian 2, bins 4\)"):
        asked(tmp_path, changed(space={"algorithm.learning_rate": [1e-3, 3e-3], "head.bins": [5, 7]}, **grid))
    rates = {"algorithm.learning_rate": {"choices": [1e-4, 3e-4, 1e-3, 3e-3], "arms": ["gaussian"]}}
    more = {"head.initial_std": {"choices": [0.2, 0.4], "arms": ["bins"]}, "head.bins": [5, 7]}
    found = asked(tmp_path, changed(space=rates | more, **grid))
    assert [len(found.points(arm)) for arm in ("gaussian", "bins")] == [4, 4]


def test_a_setting_that_the_grid_varies_is_not_searched(tmp_path):
    with pytest.raises(InputError, match=r"search: space: algorithm.learning_rate: the grid already sets it"):
        written(tmp_path, SEARCH.replace("seed: 1}", "seed: 1, algorithm.learning_rate: [0.1, 0.2]}"))


def test_a_reported_seed_is_refused_on_any_task(tmp_path):
    same = {"tasks": ["Reacher-v5"], "reference": {"Reacher-v5": 0}}
    assert asked(tmp_path, changed(**same)).tasks == ("Reacher-v5",)  # a task that is reported, with other seeds
    for tasks in ({}, same):
        with pytest.raises(InputError, match="is a seed of the grid"):
            asked(tmp_path, changed(seeds=[0], **tasks))


def test_arms_that_would_share_folders_are_refused(tmp_path):
    text = SEARCH.replace("bins: {head", '"b s": {head').replace("arms:", "arms:\n  b+s: {head: binned}")
    with pytest.raises(InputError, match=r"'b\+s' .*and 'b s' .*would share"):
        written(tmp_path, text)


def test_an_arm_searches_the_options_of_its_head_that_are_not_set(tmp_path):
    found = asked(tmp_path, SEARCH.replace("{head: binned}", "{head: binned, algorithm.learning_rate: 0.1}"))

    def there(arm: str) -> set[str]:
        return {axis.name for axis, _ in space.corners(found.axes_of(arm), found.settings(arm))}

    assert there("gaussian") == {"algorithm.learning_rate"}
    assert there("bins") == {"head.bins"}
    assert found.searched() == ["gaussian", "bins"]


def test_words_decide_which_numbers_there_are(tmp_path):
    axes = {"head.bins": [5, 7], "head.initial_std": [0.3, 0.5], "head": ["gaussian", "binned"]}
    tree = changed(space=axes, sampler="grid", trials=6)
    tree["arms"] = {"any": {"symmetric": False}}
    points = asked(tmp_path, tree).points("any")
    narrow, wide = [{"head": "gaussian", "head.initial_std": std} for std in (0.3, 0.5)]
    bins = [one | {"head": "binned", "head.bins": n} for n in (5, 7) for one in (narrow, wide)]
    assert len(points) == 6
    assert all(point in points for point in [narrow, wide, *bins])


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"low": 2, "high": 8, "step": 3}, [2, 5, 8]),
        ({"low": 0.1, "high": 0.4, "step": 0.1}, [0.1, 0.2, 0.3, 0.4]),
        ([[64, 64], [256]], [[64, 64], [256]]),
    ],
)
def test_values_of_a_grid(given, values):
    (axis,) = space.read({"some.thing": given}, {})
    assert axis.values() == values


def test_settings_without_effect_on_trials_are_the_same_search(tmp_path):
    before = asked(tmp_path)
    tree = changed()
    tree["settings"] = tree.get("settings", {}) | {"checkpoint_every": 123, "threads": 1}
    assert asked(tmp_path, tree).fingerprint("bins") == before.fingerprint("bins")
    tree = changed()
    del tree["search"]["space"]["head.bins"]  # only the arm with bins has it
    assert asked(tmp_path, tree).fingerprint("gaussian") == before.fingerprint("gaussian")
    assert asked(tmp_path, tree).fingerprint("bins") != before.fingerprint("bins")


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s != "grid"])
def test_more_trials_are_the_same_search_and_another_range_is_another(tmp_path, sampler):
    text = SEARCH.replace("trials: 4", f"trials: 4\n  sampler: {sampler}")
    prints = [asked(tmp_path, t).fingerprint("bins") for t in (text, text.replace("trials: 4", "trials: 9"))]
    assert prints[0] == prints[1]
    assert asked(tmp_path, text.replace("1.0e-2", "2.0e-2")).fingerprint("bins") != prints[0]
    assert asked(tmp_path, text.replace("[100, 101]", "[100]")).fingerprint("bins") != prints[0]
    only = asked(tmp_path, text.replace("[5, 7]", "[5, 9]"))
    assert only.fingerprint("bins") != prints[0]
