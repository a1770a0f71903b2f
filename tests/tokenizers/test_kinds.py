"""Tests of single kinds of tokenizers, and of chunks."""

from typing import Any

import pytest
import torch
from scipy.fft import idctn

from pgcontrol.machine.files import read_json, write_json
from pgcontrol.options import InputError
from pgcontrol.tokenizers import base, files
from pgcontrol.tokenizers.base import lloyd, windows
from tests.tokenizers.test_laws import chunks, variant


def test_windows_worked():
    # one environment, actions 0 1 2 | 3 4 (an episode ends after 2): pairs are 01, 12, 34
    actions = torch.arange(5.0).view(5, 1, 1)
    ends = torch.tensor([0, 0, 1, 0, 0]).bool().view(5, 1)
    assert windows(actions, ends, 2).squeeze(-1).tolist() == [[0, 1], [1, 2], [3, 4]]
    assert windows(actions, ends, 3).squeeze(-1).tolist() == [[0, 1, 2]]
    assert windows(actions, ends, 1).shape == (5, 1, 1)
    assert windows(actions, ends, 6).shape == (0, 6, 1)


def test_lloyd_finds_separate_clusters():
    torch.manual_seed(0)
    truth = torch.tensor([[-1.0, 0], [1, 0], [0, 1], [0, -1]])
    points = truth.repeat(50, 1) + 0.01 * torch.randn(200, 2)
    centres = lloyd(points, 4)
    assert torch.cdist(truth, centres).amin(1).max() < 0.01


def test_align_undoes_a_renumbering():
    old = variant("rvq-chunk")
    new = files.make("rvq", 4, 3, {"codes": 8, "levels": 3})
    shuffled = torch.stack(
        [
            level[torch.randperm(8, generator=torch.Generator().manual_seed(i))]
            for i, level in enumerate(old.get_buffer("table"))
        ]
    )
    new.get_buffer("table").copy_(shuffled + 1e-3)
    assert not torch.allclose(new.get_buffer("table"), old.get_buffer("table"), atol=2e-3)
    new.align(old)
    assert torch.allclose(new.get_buffer("table"), old.get_buffer("table"), atol=2e-3)


def test_fast_transform_is_scipys():
    tokenizer = variant("fast-chunk")
    codes = tokenizer.encode(chunks(4, seed=1)[:1])
    spelled = tokenizer.coefficients(tokenizer.reconstruct(codes)).view(4, 3).double().numpy()
    expected = torch.from_numpy(idctn(spelled / 8.0, axes=[0], norm="ortho"))
    assert torch.allclose(tokenizer.reconstruct(codes)[0].double(), expected, atol=1e-6)


def test_fast_decoding_worked():
    """Horizon 2, one joint, no pairs learned: token k spells the coefficient k − 1 − Q with Q = ⌈4·√2⌉ = 6."""
    tokenizer: Any = files.make("fast", 2, 1, {"codes": 20, "length": 3, "scale": 4.0})
    two, minus_one, nothing = 2 + 1 + 6, -1 + 1 + 6, 0
    root = 2**-0.5
    both = [(2 / 4 - 1 / 4) * root, (2 / 4 + 1 / 4) * root]  # DC 2, first cosine −1, each a quarter of its number
    low = [2 / 4 * root] * 2
    rows = {
        (two, minus_one, nothing): both,
        (nothing, two, minus_one): both,  # padding adds nothing wherever it stands
        (two, minus_one, two): both,  # what is too long is cut
        (two, nothing, nothing): low,  # coefficients without a token are 0
        (two, 19, nothing): low,  # a token that was never learned adds nothing
        (nothing, nothing, nothing): [0.0, 0.0],
    }
    decoded = tokenizer.decode(torch.tensor(list(rows))).squeeze(-1)
    assert torch.allclose(decoded, torch.tensor(list(rows.values())), atol=1e-6)


def test_fast_gives_up_high_frequencies_first():
    long: Any = files.make("fast", 4, 3, {"codes": 64, "length": 12, "scale": 8.0})
    short: Any = files.make("fast", 4, 3, {"codes": 64, "length": 6, "scale": 8.0})
    data = chunks(4, seed=1)[:100]
    for tokenizer in (long, short):
        tokenizer.fit(chunks(4), 0)
    full, cut = (t.coefficients(t.reconstruct(t.encode(data))) for t in [long, short])
    assert torch.equal(full, long.coefficients(data))
    lost = (full != cut).int()
    assert lost.any()
    assert (cut[lost.bool()] == 0).all()
    assert torch.equal(lost.cummax(1).values * (full != 0), lost * (full != 0))  # from the first loss on, all


def test_fast_uses_its_pairs():
    tokenizer = variant("fast-chunk")
    assert (tokenizer.get_buffer("extent") > 1).sum() > 20
    codes = tokenizer.encode(chunks(4, seed=1))
    assert (codes != 0).sum(1).float().mean() < 12 / 2  # fewer than half as many tokens as numbers


def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    for kind in ("vq", "rvq", "fast"):
        with pytest.raises(InputError, match=rf"a {kind} tokenizer needs .*: pip install 'pgcontrol\[tokens\]'"):
            files.make(kind, 1, 3, {}).fit(torch.zeros(5, 1, 3), 0)
    files.make("kmeans", 1, 3, {}).fit(torch.zeros(5, 1, 3), 0)
    # and what was learned decodes without
    assert variant("fast-chunk").decode(torch.zeros(1, 6, dtype=torch.int64)).isfinite().all()


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda f: (f / "meta.json").unlink(), "is not a tokenizer folder: meta.json is missing"),
        (lambda f: (f / "tensors.safetensors").write_bytes(b"x"), "is not a tokenizer folder, or is damaged"),
        (lambda f: (f / "meta.json").write_text('{"schema": 1}'), "is not a tokenizer folder, or is damaged"),
        (lambda f: (f / "meta.json").write_text('{"schema": 9}'), "written with tokenizer folder schema 9"),
    ],
)
def test_a_damaged_folder_gets_one_line(damage, line, tmp_path):
    files.save(tmp_path / "t", variant("kmeans"), {})
    damage(tmp_path / "t")
    with pytest.raises(InputError, match=line):
        files.load(tmp_path / "t")


def test_a_folder_of_other_sizes_is_damaged(tmp_path):
    files.save(tmp_path / "t", variant("kmeans"), {})
    meta = read_json(tmp_path / "t" / "meta.json")
    meta["tokenizer"]["codes"] = 99
    write_json(tmp_path / "t" / "meta.json", meta)
    with pytest.raises(InputError, match="size mismatch"):
        files.load(tmp_path / "t")


@pytest.mark.parametrize(
    ("kind", "settings", "line"),
    [
        ("kmean", {}, "unknown tokenizer 'kmean'; did you mean 'kmeans'?"),
        ("kmeans", {"levels": 3}, "unknown setting 'levels'; expected one of: codes"),
        ("rvq", {"codes": 1}, "codes = 1: must be at least 2"),
        ("fast", {"codes": 8}, "codes = 8: too few for scale = 10 at horizon = 2, which needs 32 for coefficients"),
    ],
)
def test_bad_settings_get_one_line(kind, settings, line):
    with pytest.raises(InputError) as caught:
        files.make(kind, 2, 3, settings)
    assert str(caught.value) == line
