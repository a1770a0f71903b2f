"""`pgcontrol export`: a policy as one ONNX file, from raw observations to actions, and a description beside it.

Normaliser, trunk, head and decoder are inside. Nothing leaves before onnxruntime has played it beside the policy.
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
OPSET = 18  # the oldest that torch's exporter writes: the older, the more runtimes play it
RUNTIME = "1.15"  # of onnxruntime, the oldest that was seen to play every head, by mode and by samples
COUNT = 10_000  # observations of the parity check
# how far an action may be off, as a share of the joint's half-range: weights are float32, and sums are made in another
# order
TOLERANCE = 1e-4
# how far rounding may move params, relative to their size: where that much makes the policy itself choose otherwise,
# either choice is right, as the likeliest of two bins that are alike
ROUNDING = 1e-5


class ExportError(RuntimeError):
    """The graph cannot be written, or does not act like the policy; nothing was written."""


class Parity(NamedTuple):
    """How the file's actions compare with the policy's.

    Attributes:
        observations: how many were played.
        largest_difference: over all actions but ties, as a share of the joint's half-range.
        ties: observations at which rounding decides between choices that are equally good.
    """

    observations: int
    largest_difference: float
    ties: int


class Rounded(NamedTuple):
    """What inputs in float32 cost: actions beside those from inputs in float64.

    Attributes:
        largest_difference: over all actions, as a share of the joint's half-range.
        otherwise: observations at which the action is another one, further off than `TOLERANCE`.
    """

    largest_difference: float
    otherwise: int


class ExportResult(NamedTuple):
    """What was written.

    Attributes:
        path: the ONNX file.
        description: the JSON file that says how to use it.
        rounded: None for inputs in float64.
    """

    path: Path
    description: Path
    parity: Parity
    rounded: Rounded | None


class Acting(nn.Module):
    """Raw observations [N, O] -> actions [N, A] or [N, H, A]: what is exported.

    With `sampled` it takes uniform numbers [N, D], too, which decide what is drawn. Inputs are float64, with `float32`
    float32, and so are the normaliser's moments.
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
        """The mode, or the sample that the noise says."""
        action = self.choose(self.policy.params(self.policy.normaliser(obs)), noise)
        return action.reshape(-1, *self.policy.head.answer_shape)

    def choose(self, params: Tensor, noise: Tensor | None) -> Tensor:
        """The actions [N, H, A] of the head's params."""
        head = self.policy.head
        if noise is None:
            return head.decode(head.mode(params))
        with FromUniforms(noise):
            return head.decode(head.sample(params, torch.Generator()))

    def inputs(self, count: int, seed: int) -> dict[str, Tensor]:
        """Inputs by name, by number: observations as seen in training, three times and thirty times as far out."""
        rng = torch.Generator().manual_seed(seed)
        far = torch.tensor([1.0, 3.0, 30.0], dtype=torch.float64)[torch.arange(count) % 3].unsqueeze(1)
        spread = torch.randn(count, self.policy.obs_size, dtype=torch.float64, generator=rng) * far
        mean, scale = (x[: self.policy.obs_size] for x in (self.policy.normaliser.mean, self.policy.normaliser.scale))
        inputs = {"obs": mean + spread / scale}
        if self.sampled:
            inputs["noise"] = torch.rand(count, self.noise_size, dtype=torch.float64, generator=rng)
        return self.rounded(inputs)

    def rounded(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inputs in float64 as this takes them."""
        return {name: values.float() if self.float32 else values for name, values in inputs.items()}


@takes(ExportOptions)
def export(options: ExportOptions) -> ExportResult:
    """Write the policy of a run or checkpoint as ONNX, and `out` with .json instead, which says how to use it.

    Raises:
        InputError: no policy there, a file that exists, or what it takes to export is not installed.
        ExportError: the graph cannot be written or does not act like the policy.
    """
    if not options.out.name:
        raise InputError(f"--out {options.out}: must be a file, such as policy.onnx")
    out, description = options.out, options.out.with_suffix(".json")
    if out.suffix != ".onnx":
        raise InputError(f"--out {out}: must end in .onnx")
    for path in (out, description):
        if path.exists() and not options.force:
            raise InputError(f"{path} exists already; name another file, or say --force")
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
    """Raises InputError where what it takes to export is not installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"export needs {', '.join(missing)}: pip install 'pgcontrol[export]'")


def to_onnx(acting: Acting) -> bytes:
    """The graph for any number of observations, as the bytes of an ONNX file.

    Raises:
        ExportError: it cannot be traced, or an operation has no counterpart.
    """
    inputs = acting.inputs(3, seed=0)
    open_axis, named_axis = ({name: {0: axis} for name in inputs} for axis in (torch.export.Dim("N"), "N"))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it talks of libraries that we do not use
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
            entry.ClearField("metadata_props")  # where in our source each came from
        proto.ir_version = find_min_ir_version_for(proto.opset_import)  # runtimes refuse a newer one unseen
        return proto.SerializeToString(deterministic=True)
    except Exception as error:  # tracing may fail in any way: what the user needs is which head, and the reason
        reason = str(error.__cause__ or error).strip().split("\n")[0][:200]
        raise ExportError(f"head {acting.policy.head.name!r} cannot be written as ONNX: {reason}") from error


def _format(model: bytes) -> dict[str, Any]:
    """What a runtime must know to play it: versions of the file's format and of its operations, and one that does."""
    import onnx

    proto = onnx.load_from_string(model)
    opsets = {one.domain or "ai.onnx": one.version for one in proto.opset_import}
    return {"ir_version": proto.ir_version, "opset": opsets, "onnxruntime": f">={RUNTIME}"}


def session(model: bytes) -> Any:
    """An onnxruntime session of a file's bytes, on one thread."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it writes a name for this machine into the home folder
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compare(model: bytes, acting: Acting, count: int = COUNT, seed: int = 0) -> Parity:
    """Play the file with onnxruntime beside the policy.

    Raises:
        ExportError: an action is out of bounds or not the policy's; says how far off.
    """
    played = session(model)
    inputs, head = acting.inputs(count, seed), acting.policy.head
    # one observation alone, then the others: any number of them is allowed
    halves = ({name: values[rows].numpy() for name, values in inputs.items()} for rows in (slice(1), slice(1, None)))
    theirs = torch.cat([torch.from_numpy(played.run(None, half)[0]) for half in halves])
    with torch.no_grad():
        ours = acting(**inputs)
        made, wanted = (f"{action.dtype} {tuple(action.shape)}" for action in (theirs, ours))
        if made != wanted:
            raise ExportError(f"the exported policy gives {made}, the policy {wanted}; nothing written")
        if not ((theirs >= head.low) & (theirs <= head.high)).all():
            raise ExportError("the exported policy leaves the bounds of the action; nothing written")
        apart = _apart(theirs, ours, head.half_range)
        off = (apart > TOLERANCE).nonzero().squeeze(1).tolist()
        tied = [i for i in off if tied_by_rounding(acting, {k: v[i] for k, v in inputs.items()}, theirs[i])]
    if len(tied) < len(off):
        off_at = f"{len(off) - len(tied)} of {count} observations, by up to {float(apart.max()):.2g} of the half-range"
        raise ExportError(f"the exported policy differs from the policy at {off_at}; nothing written")
    apart[tied] = 0
    return Parity(count, float(apart.max()), len(tied))


@torch.no_grad()
def rounding(acting: Acting, exact: Acting, count: int = COUNT, seed: int = 0) -> Rounded:
    """What it costs that inputs are rounded to float32."""
    inputs = exact.inputs(count, seed)
    apart = _apart(acting(**acting.rounded(inputs)), exact(**inputs), exact.policy.head.half_range)
    return Rounded(float(apart.max()), int((apart > TOLERANCE).sum()))


def _apart(theirs: Tensor, ours: Tensor, half_range: Tensor) -> Tensor:
    """The largest difference of each observation's action, [N], in half-ranges; infinite for NaN."""
    return ((theirs - ours) / half_range).abs().nan_to_num(torch.inf).flatten(1).amax(1)


def tied_by_rounding(acting: Acting, row: dict[str, Tensor], theirs: Tensor, draws: int = 256) -> bool:
    """Whether the policy itself plays `theirs` somewhere within rounding of its params at this observation."""
    policy, many = acting.policy, {name: values.expand(draws, *values.shape) for name, values in row.items()}
    params = policy.params(policy.normaliser(many["obs"]))
    rng = torch.Generator().manual_seed(0)
    near = params + ROUNDING * (params.abs() + 1) * torch.randn(params.shape, generator=rng)
    ours = acting.choose(near, many.get("noise"))
    return bool((_apart(theirs.view(1, *ours.shape[1:]), ours, policy.head.half_range) <= TOLERANCE).any())
