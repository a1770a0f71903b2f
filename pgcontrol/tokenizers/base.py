"""The base class of tokenizers: chunks of actions to a short row of codes, and back."""

from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from pgcontrol.machine.threads import one_thread, seeded
from pgcontrol.options import InputError

# initialisation of the codebooks of vector_quantize_pytorch, and the use below which a code is moved to the data
CODEBOOK: dict[str, Any] = {"kmeans_init": True, "kmeans_iters": 20, "threshold_ema_dead_code": 1}


class Tokenizer(nn.Module):
    """Maps chunks [B, H, A] of normalised actions (−1 and 1 are the joint's bounds) to codes [B, L] in 0 … K − 1.

    *Every* row of codes must decode, because a policy will sample all of them. `fit` stores what it learns in buffers
    whose shapes depend only on the constructor's arguments. So a tokenizer is saved in a head's state and in a
    checkpoint as tensors, and a new tokenizer can load the state of a fitted one.

    Sizes: B chunks, H horizon (actions per chunk), A joints, L codes per chunk, K values of a code.

    Subclasses define `name`, `Options` (a frozen dataclass), and each method below that raises NotImplementedError.

    Attributes:
        learned: False if there is nothing to fit.
        requires: the module that `fit` needs in addition to the base installation; decoding does not need it.
        codes: K.
        length: L.
    """

    name: ClassVar[str]
    Options: ClassVar[type]
    learned: ClassVar[bool] = True
    requires: ClassVar[str | None] = None

    def __init__(self, horizon: int, joints: int, options: Any, length: int = 1):
        super().__init__()
        self.horizon, self.joints, self.options = horizon, joints, options
        self.codes: int = options.codes
        self.length = length

    @classmethod
    def require(cls) -> None:
        """Check that this kind can be fitted here.

        Raises:
            InputError: a library is missing; the message says how to install it.
        """
        if cls.requires and find_spec(cls.requires) is None:
            raise InputError(f"a {cls.name} tokenizer needs {cls.requires}: pip install 'pgcontrol[tokens]'")

    @torch.no_grad()
    def fit(self, chunks: Tensor, seed: int) -> None:
        """Learn the vocabulary from chunks [M, H, A]. Equal chunks and seeds give bit-identical codes.

        Raises:
            InputError: the chunks have the wrong size, or a library is missing.
        """
        self.require()
        self._check(chunks)
        with one_thread(), seeded(seed):  # libraries draw from the global generator
            self._fit(chunks.float())

    def _fit(self, chunks: Tensor) -> None:
        """Learn from float32 chunks of the right size; not called if there is nothing to learn."""

    @torch.no_grad()
    def encode(self, chunks: Tensor) -> Tensor:
        """Chunks [B, H, A] -> codes [B, L], int64.

        Raises:
            InputError: the chunks have the wrong size.
        """
        self._check(chunks)
        return self._encode(chunks.float())

    def _encode(self, chunks: Tensor) -> Tensor:
        raise NotImplementedError

    def reconstruct(self, codes: Tensor) -> Tensor:
        """Codes [B, L] -> chunks [B, H, A] before `decode` clips them."""
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, L] -> chunks [B, H, A] within [−1, 1]."""
        return self.reconstruct(codes).clamp(-1.0, 1.0)

    def align(self, old: "Tokenizer") -> None:
        """Renumber the codes so that each code decodes to nearly the same actions as before, under `old`."""

    def moments(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of decoded actions for independent codes [B, L, K], in half-ranges, [B, H, A].

        Estimated from 4096 draws (at least 16 per row) of a fixed random stream, unless a subclass computes it exactly.
        """
        draws = max(16, 2**12 // len(probabilities))
        rows = probabilities.repeat(draws, 1, 1)
        race = torch.empty_like(rows).exponential_(generator=Generator(rows.device).manual_seed(0))
        decoded = self.decode((rows / race).argmax(-1)).view(draws, -1, self.horizon, self.joints)
        return decoded.mean(0), decoded.std(0)

    def _check(self, chunks: Tensor) -> None:
        expected = (self.horizon, self.joints)
        for size, here, name in zip(chunks.shape[1:], expected, ("actions per chunk", "joints"), strict=True):
            if size != here:
                raise InputError(f"{self.name} tokenizer for {here} {name}: the data has {size}")
        if not len(chunks):
            raise InputError(f"{self.name} tokenizer: the data has no chunks of {self.horizon} actions")
        if not chunks.isfinite().all():
            raise InputError(f"{self.name} tokenizer: the data has infinite or NaN actions")


class Additive(Tokenizer):
    """One table per position; a chunk is the sum of the chosen rows: k-means, VQ (one position) and residual VQ.

    Decoding takes L look-ups. `encode` searches the nearest sum by beam search with 4096 candidates per level. This is
    exact for K^L ≤ 4096: there, `encode` after `decode` gives codes of exactly the same action; else of one near it.

    Attributes:
        table: [L, K, H·A].
    """

    CANDIDATES: ClassVar[int] = 4096

    def __init__(self, horizon: int, joints: int, options: Any, length: int = 1):
        super().__init__(horizon, joints, options, length)
        self.table = nn.Buffer(torch.zeros(length, self.codes, horizon * joints))
        self.start = nn.Buffer(torch.arange(length) * self.codes, persistent=False)

    def reconstruct(self, codes: Tensor) -> Tensor:
        rows = self.table.flatten(0, 1)[codes + self.start]  # one look-up for all positions
        return rows.sum(-2).unflatten(-1, (self.horizon, self.joints))

    def _encode(self, chunks: Tensor) -> Tensor:
        return torch.cat([self._nearest(part) for part in chunks.flatten(1).split(512)])

    def _nearest(self, x: Tensor) -> Tensor:
        """Beam search over positions, [B, D] -> [B, L]."""
        width = max(1, self.CANDIDATES // self.codes)
        beam = torch.zeros(len(x), 1, 0, dtype=torch.int64)
        left = x.unsqueeze(1)  # the remaining error, [B, W, D]
        for table in self.table:
            # ‖left − row‖² as a matrix product; the final choice below uses exact differences
            error = left.square().sum(-1, keepdim=True) - 2 * left @ table.T + table.square().sum(-1)
            best = error.flatten(1).topk(min(width, error[0].numel()), largest=False).indices
            parent, code = best // self.codes, best % self.codes
            beam = torch.cat([beam.gather(1, parent.unsqueeze(-1).expand(-1, -1, beam.shape[-1])), code[..., None]], -1)
            left = left.gather(1, parent.unsqueeze(-1).expand(-1, -1, x.shape[1])) - table[code]
        decoded = self.decode(beam.flatten(0, 1)).view(*beam.shape[:2], -1)
        last = (decoded - x.unsqueeze(1)).square().sum(-1).argmin(1)
        return beam[torch.arange(len(x)), last]

    def align(self, old: Tokenizer) -> None:
        """For each position, assign new rows to old ones so that the total squared distance is smallest."""
        from scipy.optimize import linear_sum_assignment

        before = old.get_buffer("table")
        for table, other in zip(self.table, before, strict=True):
            _, order = linear_sum_assignment(torch.cdist(other.double(), table.double()).square().numpy())
            table.copy_(table[torch.from_numpy(order)])

    def moments(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """In closed form, before clipping: the moments of a sum of independent rows."""
        p = probabilities.transpose(0, 1)
        mean = p @ self.table
        var = (p @ self.table.square() - mean.square()).clamp_min(0.0)
        shape = (self.horizon, self.joints)
        return mean.sum(0).unflatten(-1, shape), var.sum(0).sqrt().unflatten(-1, shape)


def lloyd(points: Tensor, codes: int) -> Tensor:
    """K-means centres [K, D] of points [M, D]: k-means++ (Arthur & Vassilvitskii 2007), then 30 iterations of Lloyd's.

    Draws from torch's global generator. A centre without points moves to the point with the largest error. If there are
    fewer distinct points than K, the remaining centres duplicate others.
    """
    centres = points.new_empty(codes, points.shape[1])
    centres[0] = points[torch.randint(len(points), ())]
    error = (points - centres[0]).square().sum(1)
    for k in range(1, codes):
        weight = error if error.sum() > 0 else torch.ones_like(error)
        centres[k] = points[torch.multinomial(weight, 1)[0]]
        error = torch.minimum(error, (points - centres[k]).square().sum(1))
    for _ in range(30):
        near, owner = torch.cdist(points, centres).min(1)
        count = torch.bincount(owner, minlength=codes)
        sums = torch.zeros_like(centres).index_add_(0, owner, points)
        centres = torch.where(count.unsqueeze(1) > 0, sums / count.clamp_min(1).unsqueeze(1), centres)
        empty = (count == 0).nonzero().squeeze(1)
        far = near.topk(min(len(empty), len(points))).indices
        centres[empty[: len(far)]] = points[far]
    return centres


def unrolled(chunks: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Chunks [T·N, H, A] and `ends` [T, N] (an episode ended in the chunk) -> actions [T·H, N, A] and their ends.

    The rest of a chunk after an episode's end was not played, so every action of that chunk counts as an end.
    """
    return chunks.unflatten(0, ends.shape).transpose(1, 2).flatten(0, 1), ends.repeat_interleave(chunks.shape[1], 0)


def windows(actions: Tensor, ends: Tensor, horizon: int) -> Tensor:
    """All chunks of `horizon` consecutive actions within an episode.

    Args:
        actions: [T, N, A].
        ends: [T, N] bool: the action is the last of its episode.
        horizon: H.

    Returns:
        [M, H, A].
    """
    if len(actions) < horizon:
        return actions.new_empty(0, horizon, actions.shape[-1])
    crossing = ends.unfold(0, horizon, 1)[..., :-1].any(-1)
    return actions.unfold(0, horizon, 1).movedim(-1, 2)[~crossing].contiguous()
