"""FAST: the quantised cosine transform of a chunk, compressed to few tokens by byte-pair encoding."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pgcontrol.options import InputError, option
from pgcontrol.tokenizers.base import Tokenizer


class FAST(Tokenizer):
    """DCT per joint, quantise, flatten with low frequencies first, byte-pair encode (arXiv 2501.09747, algorithm 1).

    The *spelling* of a chunk is its H·A rounded coefficients in the order (frequency, joint). Each token stands for a
    short sequence of coefficients. Token 0 stands for the empty sequence and pads. The next 2Q + 1 tokens stand for
    single coefficients from −Q to Q, the largest value of any chunk within the bounds. The others are byte pairs, as
    many as the data gave.

    Decoding works for any row of L tokens: their sequences are joined in order (token 0 and tokens that were never
    learned add nothing, anywhere in the row), coefficients beyond H·A are cut off, and missing ones are 0. Encoding:
    trailing tokens that contain only zeros become padding. A spelling that still needs more than L tokens loses its
    last coefficients (the highest frequencies) until it fits.

    Laws: `encode(reconstruct(c))` decodes like c for every c that `encode` returns. For other rows this holds if
    byte-pair encoding of their spelling needs at most L tokens; it may need more, because it is greedy. Clipping at the
    bounds changes frequencies, therefore the law uses `reconstruct`.

    Attributes:
        spelling: [K, H·A] int: the sequence of each token, followed by zeros.
        extent: [K] int: length of the sequence.
        merges: [K, 2] int: the two tokens that a byte pair joins, in the order of learning; −1 if there is none.
        transform: [H, H]: row f is the f-th cosine of the orthonormal DCT-II, so its transpose is the inverse.
    """

    name = "fast"
    requires = "tokenizers"

    @dataclass(frozen=True)
    class Options:
        """The settings of FAST."""

        codes: int = option(256, "K: number of tokens, single coefficients and byte pairs together", least=4, most=4096)
        length: int = option(8, "L: tokens per chunk; high frequencies that do not fit are lost", least=1, most=256)
        scale: float = option(10.0, "quantisation steps per unit; larger is finer", above=0, most=1000)

    def __init__(self, horizon: int, joints: int, options: Options):
        from scipy.fft import dct

        super().__init__(horizon, joints, options, options.length)
        self.largest = math.ceil(options.scale * math.sqrt(horizon))
        singles = 2 * self.largest + 1
        if options.codes < singles + 1:
            needed = f"scale = {options.scale:g} at horizon = {horizon}, which needs {singles + 1} for coefficients"
            raise InputError(f"codes = {options.codes}: too few for {needed}")
        size = horizon * joints
        self.spelling = nn.Buffer(torch.zeros(self.codes, size, dtype=torch.int64))
        self.extent = nn.Buffer(torch.zeros(self.codes, dtype=torch.int64))
        self.merges = nn.Buffer(torch.zeros(self.codes, 2, dtype=torch.int64))
        matrix = torch.from_numpy(dct(torch.eye(horizon).double().numpy(), axis=0, norm="ortho")).float()
        self.transform = nn.Buffer(matrix, persistent=False)
        self.places = nn.Buffer(torch.arange(size), persistent=False)
        self._learn([])

    def _learn(self, pairs: list[tuple[int, int]]) -> None:
        """Write the vocabulary of these byte pairs."""
        self.spelling.zero_()
        self.extent.zero_()
        self.merges.fill_(-1)
        singles = 2 * self.largest + 1
        self.spelling[1 : singles + 1, 0] = torch.arange(-self.largest, self.largest + 1)
        self.extent[1 : singles + 1] = 1
        for token, (left, right) in enumerate(pairs, start=singles + 1):
            a, b = int(self.extent[left]), int(self.extent[right])
            self.spelling[token, :a] = self.spelling[left, :a]
            self.spelling[token, a : a + b] = self.spelling[right, :b]
            self.extent[token] = a + b
            self.merges[token] = torch.tensor([left, right])

    def coefficients(self, chunks: Tensor) -> Tensor:
        """Chunks [B, H, A] -> rounded coefficients [B, H·A], low frequencies first."""
        rounded = (self.transform @ chunks * self.options.scale).round().long()
        return rounded.clamp(-self.largest, self.largest).flatten(1)

    def _fit(self, chunks: Tensor) -> None:
        from tokenizers import Tokenizer as Library
        from tokenizers.models import BPE
        from tokenizers.trainers import BpeTrainer

        library, alphabet = Library(BPE()), list(self._word(range(-self.largest, self.largest + 1)))
        settings: dict[str, Any] = {"initial_alphabet": alphabet, "show_progress": False, "min_frequency": 2}
        learner = BpeTrainer(vocab_size=self.codes - 1, **settings)
        library.train_from_iterator(map(self._word, self.coefficients(chunks).tolist()), learner)
        numbers = {letter: n + 1 for n, letter in enumerate(alphabet)}
        pairs: list[tuple[int, int]] = []
        for left, right in json.loads(library.to_str())["model"]["merges"]:
            pairs.append((numbers[left], numbers[right]))
            numbers[left + right] = len(alphabet) + len(pairs)
        self._learn(pairs)

    def _word(self, coefficients: Iterable[int]) -> str:
        # characters of a Unicode block without spaces or case
        return "".join(chr(0x4E00 + self.largest + n) for n in coefficients)

    def _library(self) -> Any:
        """The library's encoder with our vocabulary and our numbering."""
        self.require()
        from tokenizers import Tokenizer as Library
        from tokenizers.models import BPE

        spelled = zip(self.spelling.tolist(), self.extent.tolist(), strict=True)
        words = [self._word(stretch[:extent]) for stretch, extent in spelled]
        merges = [(words[left], words[right]) for left, right in self.merges.tolist() if left >= 0]
        vocabulary = {word: token for token, word in enumerate(words) if word}
        return Library(BPE(vocab=vocabulary, merges=merges))

    def _encode(self, chunks: Tensor) -> Tensor:
        library, rows = self._library(), self.coefficients(chunks).tolist()
        zeros = {token for token, row in enumerate(self.spelling.tolist()) if not any(row)}
        extent = self.extent.tolist()
        codes = torch.zeros(len(rows), self.length, dtype=torch.int64)
        for i, row in enumerate(rows):
            while True:
                tokens = library.encode(self._word(row)).ids
                while tokens and tokens[-1] in zeros:
                    tokens.pop()
                if len(tokens) <= self.length:
                    break
                kept = sum(extent[t] for t in tokens[: self.length])
                row[kept:] = [0] * (len(row) - kept)
            codes[i, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
        return codes

    def reconstruct(self, codes: Tensor) -> Tensor:
        """Join the sequences, cut or pad with zeros to H·A, and apply the inverse transform."""
        size = self.horizon * self.joints
        extent = self.extent[codes]
        start = (extent.cumsum(-1) - extent).unsqueeze(-1)
        used = self.places < extent.unsqueeze(-1)
        # unused or surplus coefficients go to a place behind the end
        place = torch.where(used, start + self.places, size).clamp_max(size)
        spelled = torch.zeros(codes.shape[0], size + 1)
        spelled.scatter_(1, place.flatten(1), self.spelling[codes].flatten(1).float())
        spectrum = spelled[:, :size].unflatten(1, (self.horizon, self.joints))
        return self.transform.T @ spectrum / self.options.scale
