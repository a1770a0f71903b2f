"""`pgcontrol export`: writes a policy as one ONNX file, from raw observations to actions, with a JSON description.

The file contains normaliser, trunk, head and decoder. Before it is written, onnxruntime plays it and its actions are
compared with the policy's.
"""

import copy
import hashlib
import json
import logging
import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pgcontrol.arguments import ExportOptions
from pgcontrol.exporting.description import describe
from pgcontrol.exporting.uniform import FromUniforms
from pgcontrol.machine import files
from pgcontrol.options import InputError, takes
from pgcontrol.policy import Policy
from pgcontrol.runs import checkpoint
from pgcontrol.runs.load import load_with_meta

NEEDED = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18  # the oldest that torch's exporter writes: more runtimes support older opsets
RUNTIME = "1.15"  # the oldest onnxruntime that was found to run every head, by mode and by samples
COUNT = 10_000  # observations of the parity check
# largest allowed difference of an action in half-ranges; weights are float32 and the order of summation differs
TOLERANCE = 1e-4
# size of rounding errors of params, relative to their size. If a change of this size makes the policy itself choose
# another action, for example of two equally likely bins, both choices are accepted
ROUNDING = 1e-5


class ExportError(RuntimeError):
    """The graph cannot be written, or does not act like the policy; nothing was written."""


class Parity(NamedTuple):
    """A comparison of the file's actions with the policy's.

    Attributes:
        observations: number of observations.
        largest_difference: over all actions except ties, in half-ranges.
        ties: observations at which rounding decides between equally good choices.
    """

    observations: int
    largest_difference: float
    ties: int


class Rounded(NamedTuple):
    """The effect of float32 inputs: actions compared with those for float64 inputs.

    Attributes:
        largest_difference: over all actions, in half-ranges.
        otherwise: number of observations at which the action differs by more than `TOLERANCE`.
    """

    largest_difference: float
    otherwise: int


class ExportResult(NamedTuple):
    """The written files.

    Attributes:
        path: the ONNX file.
        description: the JSON file that describes how to use it.
        rounded: None if inputs are float64.
    """

    path: Path
    description: Path
    parity: Parity
    rounded: Rounded | None


class Acting(nn.Module):
    """The exported module: raw observations [N, O] -> actions [N, A] or [N, H, A].

    With `sampled`, it also takes uniform numbers [N, D], from which it computes the sample. Inputs and the normaliser's
    moments are float64, or float32 with `float32`.
    """

    def __init__(self, policy: Policy, sampled: bool, float32: bool = False):
        super().__init__()
        self.policy, self.sampled, self.float32 = copy.deepcopy(policy).eval(), sampled, float32
        self.noise_size = 0
        if sampled:
            with torch.no_grad(), FromUniforms() as draws:
                self.policy.act(torch.zeros(2, policy.obs_size, dtype=torch.float64), torch.Generator())
            self.noise_size = draws.used
        if float32:
            self.policy.float()

    def forward(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        """The mode, or the sample for this noise."""
        action = self.choose(self.policy.params(self.policy.normaliser(obs)), noise)
        return action.reshape(-1, *self.policy.head.answer_shape)

    def choose(self, params: Tensor, noise: Tensor | None) -> Tensor:
        """The actions [N, H, A] for the head's params, rounded if the environment takes whole numbers."""
        head = self.policy.head
        if noise is None:
            action = head.decode(head.mode(params))
        else:
            with FromUniforms(noise):
                action = head.decode(head.sample(params, torch.Generator()))
        return action.round() if self.policy.shapes.whole else action

    def inputs(self, count: int, seed: int) -> dict[str, Tensor]:
        """Test inputs by name: observations as in training, and 3 and 30 times as far from the mean."""
        rng = torch.Generator().manual_seed(seed)
        far = torch.tensor([1.0, 3.0, 30.0], dtype=torch.float64)[torch.arange(count) % 3].unsqueeze(1)
        spread = torch.randn(count, self.policy.obs_size, dtype=torch.float64, generator=rng) * far
        mean, scale = (x[: self.policy.obs_size] for x in (self.policy.normaliser.mean, self.policy.normaliser.scale))
        inputs = {"obs": mean + spread / scale}
        if self.sampled:
            inputs["noise"] = torch.rand(count, self.noise_size, dtype=torch.float64, generator=rng)
        return self.rounded(inputs)

    def rounded(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Convert float64 inputs to the dtype of this module."""
        return {name: values.float() if self.float32 else values for name, values in inputs.items()}


@takes(ExportOptions)
def export(options: ExportOptions) -> ExportResult:
    """Write the policy of a run or checkpoint as ONNX to `out`, and a description with the same name and suffix .json.

    Raises:
        InputError: there is no policy, a file exists, or a package that export needs is not installed.
        ExportError: the graph cannot be written, or does not act like the policy.
    """
    if not options.out.name:
        raise InputError(f"--out {options.out}: must be a file, such as policy.onnx")
    out, description = options.out, options.out.with_suffix(".json")
    if out.suffix != ".onnx":
        raise InputError(f"--out {out}: must end in .onnx")
    for path in (out, description):
        if path.exists() and not options.force:
            raise InputError(f"{path} exists already; choose another file, or pass --force")
    require_extra()
    folder = checkpoint.latest(options.run)
    policy, meta = load_with_meta(folder)
    acting = Acting(policy, options.sampled, options.float32)
    model = to_onnx(acting)
    parity = compare(model, acting)
    rounded = rounding(acting, Acting(policy, options.sampled)) if options.float32 else None
    said = {"model": {"file": out.name, "sha256": hashlib.sha256(model).hexdigest()} | _format(model)}
    said |= describe(folder, meta, policy, acting.inputs(1, seed=0))
    said |= {"plays": "a sample" if options.sampled else "the mode", "parity": parity._asdict()}
    said |= {"float32": rounded._asdict()} if rounded else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    files.replace({out: model, description: json.dumps(said, indent=1, ensure_ascii=False) + "\n"})
    return ExportResult(out, description, parity, rounded)


def require_extra() -> None:
    """Raises InputError if a package that export needs is not installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"export needs {', '.join(missing)}: pip install 'pgcontrol[export]'")


def to_onnx(acting: Acting) -> bytes:
    """The graph for any number of observations, as the bytes of an ONNX file.

    Raises:
        ExportError: it cannot be traced, or an operation does not exist in ONNX.
    """
    inputs = acting.inputs(3, seed=0)
    open_axis, named_axis = ({name: {0: axis} for name in inputs} for axis in (torch.export.Dim("N"), "N"))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it mentions libraries that we do not use
    try:
        from onnx.helper import find_min_ir_version_for

        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            program = torch.export.export(acting, (), inputs, dynamic_shapes=open_axis, strict=False)
            written = torch.onnx.export(
                program,
                input_names=list(inputs),
                output_names=["action"],
                dynamic_shapes=named_axis,
                opset_version=OPSET,
                verbose=False,
            )
            assert written is not None
        proto = written.model_proto
        for entry in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
            entry.ClearField("metadata_props")  # references to our source code
        proto.ir_version = find_min_ir_version_for(proto.opset_import)  # runtimes refuse newer versions
        return proto.SerializeToString(deterministic=True)
    except Exception as error:  # tracing can fail in many ways: the user needs the head and the reason
        reason = str(error.__cause__ or error).strip().split("\n")[0][:200]
        raise ExportError(f"head {acting.policy.head.name!r} cannot be written as ONNX: {reason}") from error


def _format(model: bytes) -> dict[str, Any]:
    """What a runtime must support: versions of the file format and of the operations, and a suitable onnxruntime."""
    import onnx

    proto = onnx.load_from_string(model)
    opsets = {one.domain or "ai.onnx": one.version for one in proto.opset_import}
    return {"ir_version": proto.ir_version, "opset": opsets, "onnxruntime": f">={RUNTIME}"}


def session(model: bytes) -> Any:
    """An onnxruntime session for a file's bytes, with one thread."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # otherwise it writes an id of this machine to the home folder
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compare(model: bytes, acting: Acting, count: int = COUNT, seed: int = 0) -> Parity:
    """Play the file with onnxruntime and compare its actions with the policy's.

    Raises:
        ExportError: an action is out of bounds or differs from the policy's; the message says by how much.
    """
    played = session(model)
    inputs, head = acting.inputs(count, seed), acting.policy.head
    # one observation first, then the others: the file must accept any number of them
    halves = ({name: values[rows].numpy() for name, values in inputs.items()} for rows in (slice(1), slice(1, None)))
    theirs = torch.cat([torch.from_numpy(played.run(None, half)[0]) for half in halves])
    with torch.no_grad():
        ours = acting(**inputs)
        made, wanted = (f"{action.dtype} {tuple(action.shape)}" for action in (theirs, ours))
        if made != wanted:
            raise ExportError(f"the exported policy returns {made}, the policy {wanted}; nothing written")
        if not ((theirs >= head.low) & (theirs <= head.high)).all():
            raise ExportError("an action of the exported policy is out of bounds; nothing written")
        apart = _apart(theirs, ours, head.half_range)
        off = (apart > TOLERANCE).nonzero().squeeze(1).tolist()
        tied = [i for i in off if tied_by_rounding(acting, {k: v[i] for k, v in inputs.items()}, theirs[i])]
    if len(tied) < len(off):
        off_at = f"{len(off) - len(tied)} of {count} observations, by up to {float(apart.max()):.2g} half-ranges"
        raise ExportError(f"the exported policy differs from the policy at {off_at}; nothing written")
    apart[tied] = 0
    return Parity(count, float(apart.max()), len(tied))


@torch.no_grad()
def rounding(acting: Acting, exact: Acting, count: int = COUNT, seed: int = 0) -> Rounded:
    """The effect of rounding inputs to float32."""
    inputs = exact.inputs(count, seed)
    apart = _apart(acting(**acting.rounded(inputs)), exact(**inputs), exact.policy.head.half_range)
    return Rounded(float(apart.max()), int((apart > TOLERANCE).sum()))


def _apart(theirs: Tensor, ours: Tensor, half_range: Tensor) -> Tensor:
    """The largest difference of the action at each observation, [N], in half-ranges; infinite for NaN."""
    return ((theirs - ours) / half_range).abs().nan_to_num(torch.inf).flatten(1).amax(1)


def tied_by_rounding(acting: Acting, row: dict[str, Tensor], theirs: Tensor, draws: int = 256) -> bool:
    """Whether the policy itself plays `theirs` for params within rounding errors at this observation."""
    policy, many = acting.policy, {name: values.expand(draws, *values.shape) for name, values in row.items()}
    params = policy.params(policy.normaliser(many["obs"]))
    rng = torch.Generator().manual_seed(0)
    near = params + ROUNDING * (params.abs() + 1) * torch.randn(params.shape, generator=rng)
    ours = acting.choose(near, many.get("noise"))
    return bool((_apart(theirs.view(1, *ours.shape[1:]), ours, policy.head.half_range) <= TOLERANCE).any())
