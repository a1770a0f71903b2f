"""An exported policy acts like the policy: every head, under each of its variants, by mode and by samples."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from scipy import stats

from pgcontrol import cli
from pgcontrol.exporting import export
from pgcontrol.exporting.uniform import FromUniforms
from pgcontrol.learning.merging import FinishedEpisode
from pgcontrol.options import InputError
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.load import make_policy
from tests.draws import DRAWS
from tests.heads.test_laws import CASES, rng
from tests.heads.test_policies import spec_of

PAGE = Path(__file__).parents[2] / "docs" / "journeys" / "ship.md"


def policy_of(spec):
    """Weights that differ from the first policy's, and moments of a task's size."""
    policy = make_policy(spec, seed=3)
    policy.theta += 0.5 * torch.randn(policy.theta.shape, generator=rng())
    policy.normaliser.update(torch.randn(500, policy.obs_size, generator=rng()) * torch.logspace(-2, 2, 6) + 3)
    return policy


def save(policy, folder, spec):
    """In the state after a training, with the finished episodes."""
    meta = {
        "policy": spec,
        "steps": 7,
        "episodes": [FinishedEpisode(100.0, 1000), FinishedEpisode(300.0, 1000, route=1)],
    }
    checkpoint.save(folder, {f"policy.{k}": v for k, v in policy.state_dict().items()}, meta)


# graphs take a second each; the mixture's mode, twenty steps of mean shift in a row, takes many, and its variants
# differ in sizes alone
SOON = ("gaussian", "token", "utilities")
PLAYED = [
    pytest.param(*case.values, id=case.id, marks=[] if case.id in SOON else [pytest.mark.slow])
    for case in CASES
    if "components" not in str(case.values[1])
] + [
    pytest.param("beta", {"played": "mean"}),
    pytest.param("gaussian-tanh", {"played": "mean"}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "options"), PLAYED)
def test_parity_with_the_policy(name, options):
    check_parity(export.Acting(policy_of(spec_of((name, options))), sampled=False))


def test_whole_numbers_are_rounded_as_by_the_policy():
    bounds = {"low": [-0.49] * 3, "high": [4.49] * 3, "shapes": [[6], [3], True]}  # of whole numbers from 0 to 4
    policy = policy_of(spec_of(("gaussian", {})) | bounds)
    acting = export.Acting(policy, sampled=False)
    obs = acting.inputs(64, 0)["obs"]
    graph = export.to_onnx(acting)
    (action,) = export.session(graph).run(None, {"obs": obs.numpy()})
    assert np.array_equal(action, policy.predict(obs))
    assert np.array_equal(action, action.round())
    check_parity(acting, graph)


# all heads, and a variant with another sampler; a graph takes a second
SAMPLERS = [
    pytest.param(
        *case.values, id=case.id, marks=[] if case.id in ("gaussian", "binned", "beta") else [pytest.mark.slow]
    )
    for case in CASES
    if case.values[1] in ({}, {"inside": True})
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), SAMPLERS)
def test_parity_of_samples(name, options):
    check_parity(export.Acting(policy_of(spec_of((name, options))), sampled=True))


FLOAT32 = [
    pytest.param(
        case.values[0],
        sampled,
        id=f"{case.id}-{sampled}",
        marks=[] if (case.id, sampled) in (("gaussian", True), ("binned", False)) else [pytest.mark.slow],
    )
    for case in CASES
    if case.values[1] == {}
    for sampled in (False, True)
]


@pytest.mark.parametrize(("name", "sampled"), FLOAT32)
def test_inputs_in_float32(name, sampled):
    """They act like the policy at the inputs that they get, and what rounding the inputs costs is measured."""
    policy = policy_of(spec_of((name, {})))
    acting, exact = (export.Acting(policy, sampled, float32) for float32 in (True, False))
    graph = export.to_onnx(acting)
    assert {i.type.tensor_type.elem_type for i in onnx.load_from_string(graph).graph.input} == {onnx.TensorProto.FLOAT}
    export.compare(graph, acting)
    assert export.rounding(acting, exact).otherwise <= 20
    policy.normaliser.mean.add_(1e6)  # where float32 counts in sixteenths, and deviations are between 0.01 and 100
    far = export.rounding(export.Acting(policy, sampled, float32=True), export.Acting(policy, sampled))
    assert far.otherwise > 1000
    assert far.largest_difference > 0.1


def check_parity(acting, graph=None):
    parity = export.compare(graph or export.to_onnx(acting), acting)
    assert parity.observations == 10_000
    # float32 sums in another order, which 20 steps of mean shift add up; a tie is two choices within 10^-5
    exact = not acting.policy.head.choice_spec.dtype.is_floating_point
    assert parity.largest_difference <= (0.0 if exact else 1e-4)
    assert parity.ties <= 5


TOKENS = [("kmeans", 1, True), ("kmeans", 4, False), ("vq", 2, False), ("rvq", 1, False), ("fast", 4, False)]
RESIDUAL = [("token-residual", "rvq", horizon, warm) for horizon in (1, 3) for warm in (True, False)]


LEARNED = [*(("token", *case) for case in [*TOKENS, ("bins", 2, False)]), *RESIDUAL]
FAST = [("token", "fast", 4, False), ("token-residual", "rvq", 3, False)]


@pytest.mark.parametrize(
    ("head", "tokenizer", "horizon", "warm"),
    [pytest.param(*case, marks=[] if case in FAST else [pytest.mark.slow]) for case in LEARNED],
)
def test_parity_of_learned_tokens(head, tokenizer, horizon, warm):
    """Every tokenizer, with chunks, before the first fit and after it."""
    options = {"tokenizer": tokenizer, "horizon": horizon}
    policy = policy_of(spec_of((head, options)))
    if not warm:
        policy.head.warm.fill_(False)  # pyright: ignore[reportCallIssue]
    vocabulary = {name: buffer for name, buffer in policy.named_buffers() if name.endswith("tokenizer.table")}
    for table in vocabulary.values():
        table.copy_(torch.randn(table.shape, generator=rng()))
    acting = export.Acting(policy, sampled=False)
    parity = export.compare(export.to_onnx(acting), acting)
    assert parity.largest_difference < 1e-6  # torques of a code, summed
    assert parity.ties <= 5
    with torch.no_grad():
        action = acting(**acting.inputs(7, seed=1))
    assert action.shape == ((7, horizon, 3) if horizon > 1 else (7, 3))
    assert len(action.unique(dim=0)) > 1  # states, warm-up and vocabulary do play a part


@pytest.mark.parametrize(("name", "options"), CASES)
def test_draws_from_uniforms_are_the_heads_own(name, options):
    """Two samples of 4000 of each joint, Kolmogorov-Smirnov: the head's sampler and the same from uniform numbers.

    54 comparisons at the 10^-5 level: a right transform fails once in 2000 choices of the seed, which is fixed; 4000
    against 4000 tell distributions apart whose functions differ by 0.06 somewhere.
    """
    policy, n = policy_of(spec_of((name, options))), 4000
    obs = policy.normaliser.mean.repeat(n, 1)
    acting = export.Acting(policy, sampled=True)
    noise = torch.rand(n, acting.noise_size, dtype=torch.float64, generator=rng(1))
    with torch.no_grad():
        ours, theirs = acting(obs, noise), policy.act(obs, rng(2))[0][:, 0]
    for joint in range(ours.shape[1]):
        found = stats.ks_2samp(ours[:, joint], theirs[:, joint])
        assert found.pvalue > 1e-5  # pyright: ignore[reportAttributeAccessIssue]


@DRAWS
def test_transforms_have_their_distribution(draw, law):
    with FromUniforms() as counted:
        draw(rng())
    noise = torch.rand(20_000, counted.used, dtype=torch.float64, generator=rng(5))
    noise[0] = 0.0  # what a generator may give
    with FromUniforms(noise) as draws:
        drawn = draw(rng())
    assert draws.used == counted.used
    assert drawn.isfinite().all()
    _, p = stats.kstest(drawn[:, 0].numpy(), law.cdf)
    assert p > 1e-4


def test_a_uniform_number_stays_below_one():
    """As torch.rand. At 1 the race of bins would be won by that bin whatever its probability."""
    with FromUniforms(torch.full((2, 3), 1 - 2**-40, dtype=torch.float64)):
        assert (torch.rand(2, 3) < 1).all()


def test_an_unknown_draw_is_refused_by_name():
    with pytest.raises(NotImplementedError, match="cauchy_"), FromUniforms():
        torch.empty(3, 1).cauchy_(generator=rng())


@pytest.fixture(scope="module")
def cheetah(tmp_path_factory):
    """A checkpoint of HalfCheetah with bins, so actions are exact."""
    head = {"name": "binned", "bins": 5}
    sizes = {"obs_size": 17, "low": [-1.0] * 6, "high": [1.0] * 6, "hidden": [8]}
    spec = {"env": "HalfCheetah-v5", "head": head, "critic": {"name": "mse"}} | sizes
    policy = make_policy(spec, seed=0)
    policy.theta += torch.randn(policy.theta.shape, generator=rng())
    folder = tmp_path_factory.mktemp("run") / "checkpoints" / "step_7"
    save(policy, folder, spec)
    return policy, folder.parent.parent


def command(capsys, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return int(caught.value.code or 0), said.out, said.err


def test_file_and_description_and_the_example_of_the_documentation(cheetah, capsys, tmp_path, monkeypatch):
    """The code of docs/journeys/ship.md plays the exported file and reaches the policy's return."""
    from pgcontrol.play import evaluate
    from pgcontrol.runs.load import make_env

    policy, run = cheetah
    monkeypatch.chdir(tmp_path)
    code, out, _ = command(capsys, "export", run, "--out", "policy.onnx")
    assert code == 0
    assert "acts like the policy at 10,000 observations" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["policy.json", "policy.onnx"]

    said = json.loads((tmp_path / "policy.json").read_text())
    data = (tmp_path / "policy.onnx").read_bytes()
    assert said["model"]["sha256"] == hashlib.sha256(data).hexdigest()
    # what older runtimes ask first: the versions are those of the file, and no newer than its operations need
    assert (said["model"]["ir_version"], said["model"]["opset"]) == (8, {"ai.onnx": 18})
    assert onnx.load_from_string(data).ir_version == 8
    assert said["model"]["onnxruntime"] == ">=1.15"
    assert said["timing"]["control_dt"] == 0.05
    assert said["run"]["head"]["bins"] == 5
    assert said["run"]["steps"] == 7
    assert said["run"]["training_return"] == {"mean": 200.0, "episodes": 2}
    assert said["outputs"][0]["joints"][0] == {
        "actuator": "bthigh",
        "joint": "bthigh",
        "force_per_unit": 120.0,
        "unit": "N·m",
    }
    graph = onnx.load_from_string(data).graph
    names: dict[int, str] = {onnx.TensorProto.DOUBLE: "float64", onnx.TensorProto.FLOAT: "float32"}
    for values, described in ((graph.input, said["inputs"]), (graph.output, said["outputs"])):
        for value, about in zip(values, described, strict=True):
            shape = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            assert [value.name, names[value.type.tensor_type.elem_type], shape] == [
                about["name"],
                about["dtype"],
                about["shape"],
            ]
    assert str(Path(export.__file__).parent).encode() not in data

    (lines,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "onnx" in block)
    assert "pgcontrol" not in lines
    played: dict = {}
    exec(lines, played)
    env = make_env("HalfCheetah-v5", 1, seed=0, threads=1)
    expected = evaluate.episodes(env, evaluate.policy_agent(policy, True, 0), seed=0).returns[0]
    assert played["total"] == pytest.approx(expected, rel=1e-9)


def test_a_description_of_samples_says_its_noise(cheetah, tmp_path):
    export.export(cheetah[1], tmp_path / "new" / "s.onnx", sampled=True)
    said = json.loads((tmp_path / "new" / "s.json").read_text())
    assert said["plays"] == "a sample"
    assert [i["name"] for i in said["inputs"]] == ["obs", "noise"]
    assert said["inputs"][1]["shape"] == ["N", 6 * 5]  # a race between the bins of every joint


def test_what_float32_costs_is_said(cheetah, capsys, tmp_path):
    code, out, _ = command(capsys, "export", cheetah[1], "--out", tmp_path / "f.onnx", "--float32")
    assert code == 0
    said = json.loads((tmp_path / "f.json").read_text())
    assert said["inputs"][0]["dtype"] == "float32"
    words = f"half-ranges; at {said['float32']['otherwise']} of 10,000 observations"
    assert re.search(r"float32 inputs change actions by up to \S+ " + words, out)
    (value,) = onnx.load(tmp_path / "f.onnx").graph.input
    assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_what_exists_stays_and_what_is_wrong_gets_one_line(cheetah, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text("mine")
    for words, line in [
        ((cheetah[1], "--out", "a.onnx"), "a.json exists already; choose another file, or pass --force"),
        ((cheetah[1], "--out", "a.pt"), "--out a.pt: must end in .onnx"),
        (("nowhere", "--out", "b.onnx"), "nowhere: no such run or checkpoint folder"),
    ]:
        code, out, error = command(capsys, "export", *words)
        assert (code, out, error) == (2, "", f"pgcontrol: {line}\n")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_missing_extra_says_what_to_type(cheetah, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(InputError, match=r"^export needs onnxscript: pip install 'pgcontrol\[export\]'$"):
        export.export(cheetah[1], tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_acts_otherwise_never_leaves(cheetah, capsys, tmp_path, monkeypatch):
    """Another policy's graph, one with wider bounds, one that gives NaN: exit code 1, one line, no file."""
    policy, run = cheetah
    right = export.to_onnx
    for change, words in [
        (lambda head: head.logits.weight.mul_(1.1), r"differs from the policy at \d+ of 10000 observations"),
        (lambda head: [values.mul_(2) for values in (head.high, head.half_range)], "is out of bounds"),
        (lambda head: head.centres.fill_(torch.nan), "is out of bounds"),
    ]:

        def wrong(acting, change=change):
            other = export.Acting(policy, acting.sampled)
            change(other.policy.head)
            return right(other)

        monkeypatch.setattr(export, "to_onnx", wrong)
        code, out, error = command(capsys, "export", run, "--out", tmp_path / "a.onnx")
        assert (code, out, error.count("\n")) == (1, "", 1)
        assert re.search(words, error), error
        assert list(tmp_path.iterdir()) == []


def test_a_head_that_cannot_be_traced_is_named(cheetah, monkeypatch):
    policy, _ = cheetah
    monkeypatch.setattr(type(policy.head), "decode", lambda self, choice: choice.numpy())
    with pytest.raises(export.ExportError, match="head 'binned' cannot be written as ONNX"):
        export.to_onnx(export.Acting(policy, False))


def test_ties_are_ties_only_within_rounding(cheetah):
    """Of two equal bins either may be played. If one is more likely by a thousandth, it must be played."""
    acting = export.Acting(cheetah[0], False)
    row = {"obs": torch.zeros(17, dtype=torch.float64)}
    head = acting.policy.head
    logits = head.get_submodule("logits")
    logits.weight.zero_()  # pyright: ignore[reportCallIssue]
    action = torch.tensor([0.5] + [-1.0] * 5)  # the fourth bin of the first joint, the first of the others
    for ahead, tie in [(0.0, True), (1e-3, False)]:
        bias = torch.zeros(6, 5)
        bias[:, 0] = 1.0
        bias[0, 3] = 1.0 - ahead
        logits.bias.copy_(bias.flatten())  # pyright: ignore[reportCallIssue]
        assert export.tied_by_rounding(acting, row, action) is tie
    assert not export.tied_by_rounding(acting, row, torch.full((6,), np.nan))


def test_every_catalogued_head_is_among_the_cases():
    assert {case.values[0] for case in CASES} == set(catalog.heads())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian", "binned"])
def test_no_operation_is_one_that_older_runtimes_have_for_float32_alone(name):
    graph = onnx.load_from_string(export.to_onnx(export.Acting(policy_of(spec_of((name, {}))), sampled=True)))
    shown = onnx.shape_inference.infer_shapes(graph).graph
    doubles = {info.name for info in shown.value_info if info.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE}
    assert doubles
    late = {node.op_type for node in shown.node if doubles & {*node.input}} & {"Cos", "Sin", "Erf", "Softplus"}
    assert not late


@pytest.mark.slow
def test_an_export_leaves_nothing_in_the_home_folder(tmp_path):
    """onnxruntime would write an id of this machine into that folder."""
    old = Path(__file__).parents[1] / "fixtures" / "2026_11" / "run"
    words = ["export", str(old), "--out", str(tmp_path / "made.onnx"), "--accept-changed"]
    home = tmp_path / "home"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | {"HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "pgcontrol", *words], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []
