"""Laws of tokenizers: every row of codes decodes, encode and decode are consistent, and a fit can be repeated."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pgcontrol.laws.base import NotJudged, finite, law, require, rng, same, shaped, within
from pgcontrol.options import InputError
from pgcontrol.tokenizers import files
from pgcontrol.tokenizers.base import Tokenizer, windows

JOINTS = 3


def make(cls: type[Tokenizer], horizon: int, options: Mapping[str, Any]) -> Tokenizer:
    """A fitted tokenizer."""
    try:
        cls.require()
    except InputError as error:
        raise NotJudged(str(error)) from None
    tokenizer = cls(horizon, JOINTS, cls.Options(**options))
    tokenizer.fit(chunks(horizon), 0)
    return tokenizer


def gaits(T: int = 200, N: int = 8, seed: int = 0) -> Tensor:
    """[T, N, A] actions like a running policy's: random phase, a common rhythm, some noise, clipped at the bounds."""
    stream = rng(seed)
    phase = torch.rand(N, 1, generator=stream) * 2 * math.pi
    time = torch.arange(T).view(T, 1, 1) * 0.5
    wave = torch.sin(time + phase + torch.arange(JOINTS) * 2.0) * torch.tensor([1.6, 0.8, 0.4])
    return (wave + 0.05 * torch.randn(T, N, JOINTS, generator=stream)).clamp(-1, 1)


def chunks(horizon: int, seed: int = 0) -> Tensor:
    """All chunks [M, H, A] of `gaits`."""
    data = gaits(seed=seed)
    return windows(data, torch.zeros(data.shape[:2], dtype=torch.bool), horizon)


def random_codes(tokenizer: Tokenizer, n: int = 500) -> Tensor:
    """Random codes [n, L]."""
    return torch.randint(tokenizer.codes, (n, tokenizer.length), generator=rng(1))


def rmse(tokenizer: Tokenizer, data: Tensor) -> float:
    """Error of decode(encode(data)), in half-ranges."""
    return float((tokenizer.decode(tokenizer.encode(data)) - data).square().mean().sqrt())


def _another(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer of the same kind and options that is not fitted."""
    return type(tokenizer)(tokenizer.horizon, tokenizer.joints, tokenizer.options)


@law
def shapes_and_ranges(tokenizer: Tokenizer) -> None:
    """Codes are int64 [B, L] from 0 to K − 1, and decode to [B, H, A]."""
    data = chunks(tokenizer.horizon, seed=1)[:100]
    codes = tokenizer.encode(data)
    shaped("encode", codes, "[B, L]", (100, tokenizer.length), torch.int64)
    least, most = int(codes.min()), int(codes.max())
    require(
        0 <= least <= most < tokenizer.codes,
        f"encode: codes from {least} to {most}, expected 0 to {tokenizer.codes - 1}",
    )
    shaped("decode", tokenizer.decode(codes), "[B, H, A]", data.shape, torch.float32)


@law
def every_row_of_codes_decodes_within_the_bounds(tokenizer: Tokenizer) -> None:
    """Every sample decodes to finite actions in [−1, 1], and rows have different meanings."""
    decoded = tokenizer.decode(random_codes(tokenizer, 2000))
    finite("decode of random codes", decoded)
    most = float(decoded.abs().max())
    require(most <= 1, f"decode of random codes: ±{most:.4g}, expected within ±1")
    distinct = len(decoded.flatten(1).unique(dim=0))
    require(distinct > 2, f"decode: 2000 random rows of codes give only {distinct} different chunks")


@law
def decoding_is_row_by_row(tokenizer: Tokenizer) -> None:
    """A row decodes to bit-identical actions alone and among others."""
    codes = random_codes(tokenizer, 50)
    one_by_one = torch.cat([tokenizer.decode(row[None]) for row in codes])
    same("decode of rows alone and together", one_by_one, tokenizer.decode(codes))


@law
def encode_after_decode_gives_codes_of_the_same_action(tokenizer: Tokenizer) -> None:
    """decode(encode(x)) = x for x = decode(codes) of codes from encode, except clipped ones."""
    codes = tokenizer.encode(chunks(tokenizer.horizon, seed=1)[:500])
    said = tokenizer.reconstruct(codes)
    inside = said.abs().amax((1, 2)) <= 1
    share = float(inside.float().mean())
    require(share > 0.2, f"reconstruct: {share:.0%} of the encoded chunks return within ±1, expected above 20%")
    again = tokenizer.decode(tokenizer.encode(said[inside]))
    same("decode(encode(decode(codes))) and decode(codes)", again, tokenizer.decode(codes[inside]))


@law
def same_data_and_seed_same_codes_to_the_bit(tokenizer: Tokenizer) -> None:
    """A fit can be repeated, and does not change torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        state = torch.get_rng_state()
        again = _another(tokenizer)
        again.fit(chunks(tokenizer.horizon), 0)
        require(torch.equal(state, torch.get_rng_state()), "fit: draws from torch's global generator")
    for name, tensor in tokenizer.state_dict().items():
        same(f"fit twice with one seed: {name!r}", again.state_dict()[name], tensor)


@law
def reconstruction_is_better_than_the_mean_action(tokenizer: Tokenizer) -> None:
    """On held-out chunks, the error is below half of the error of the mean chunk."""
    data = chunks(tokenizer.horizon, seed=1)
    error, mean = rmse(tokenizer, data), float(data.std(0).square().mean().sqrt())
    require(error < 0.5 * mean, f"decode(encode(chunks)): error {error:.3g}, expected below {0.5 * mean:.3g}")


@law
def round_trip_through_a_folder_is_bitwise(tokenizer: Tokenizer) -> None:
    """Everything that a tokenizer has learned is in its buffers, whose shapes depend only on its options."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "tokens"
        files.save(folder, tokenizer, {"from": "a law"})
        again = files.load(folder)
        written = sorted(file.name for file in folder.iterdir())
    require(written == ["meta.json", "tensors.safetensors"], f"its folder holds {', '.join(written)}")
    spec, wanted = files.spec(again), files.spec(tokenizer)
    require(spec == wanted, f"options after saving and loading are {spec}, expected {wanted}")
    codes, data = random_codes(tokenizer), chunks(tokenizer.horizon, seed=1)[:50]
    same("decode after saving and loading", again.decode(codes), tokenizer.decode(codes))
    same("encode after saving and loading", again.encode(data), tokenizer.encode(data))


@law
def other_sizes_are_refused_by_name(tokenizer: Tokenizer) -> None:
    """encode and fit refuse chunks of wrong sizes, no chunks, and NaN, with one line that names the problem."""
    H, A = tokenizer.horizon, tokenizer.joints
    wrong = {
        f"tokenizer for {A} joints: the data has 7": torch.zeros(5, H, 7),
        f"tokenizer for {H} actions per chunk: the data has {H + 1}": torch.zeros(5, H + 1, A),
        "no chunks": torch.zeros(0, H, A),
        "infinite or NaN": torch.full((5, H, A), torch.nan),
    }
    for says, data in wrong.items():
        for method, call in {"encode": tokenizer.encode, "fit": lambda x: _another(tokenizer).fit(x, 0)}.items():
            try:
                call(data)
            except InputError as error:
                require(
                    says in str(error), f"{method} of {list(data.shape)}: message {str(error)!r}, expected {says!r}"
                )
            else:
                require(False, f"{method} of {list(data.shape)}: nothing raised, expected an InputError: {says}")


@law
def moments_are_those_of_the_decoded_action(tokenizer: Tokenizer) -> None:
    """Mean and std for independent codes agree with samples of `decode`, or of `reconstruct` before it is clipped."""
    try:
        check_moments(tokenizer, clipped=True)
    except AssertionError as first:
        try:
            check_moments(tokenizer, clipped=False)
        except AssertionError:
            raise first from None


def check_moments(tokenizer: Tokenizer, clipped: bool) -> None:
    """Compare `moments` with 20 000 samples of `decode` or of `reconstruct`."""
    stream = rng()
    p = torch.softmax(2 * torch.randn(4, tokenizer.length, tokenizer.codes, generator=stream), -1)
    draws = torch.stack([torch.multinomial(row, 20_000, True, generator=stream).T for row in p])
    give = tokenizer.decode if clipped else tokenizer.reconstruct
    measured = give(draws.flatten(0, 1)).unflatten(0, (4, -1))
    # standard errors: 20 000 samples: mean 0.007, std 1 %; the base class's 1 024 samples: 0.03 and 2 %
    mean, std = tokenizer.moments(p)
    within("moments: mean", mean, measured.mean(1), 0.08 + 1e-5 * measured.mean(1).abs())
    within("moments: std", std, measured.std(1), 0.01 + 0.1 * measured.std(1))


@law
def fewer_chunks_than_codes_fit(tokenizer: Tokenizer) -> None:
    """Three chunks are enough for a fit, and every code still decodes."""
    few = chunks(tokenizer.horizon)[:3]
    small = _another(tokenizer)
    small.fit(few, 0)
    finite("decode of random codes after a fit to 3 chunks", small.decode(random_codes(small)))
    finite("decode(encode(chunks)) after a fit to 3 chunks", small.decode(small.encode(few)))
