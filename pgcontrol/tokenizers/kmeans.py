"""K-means: one code for a whole action vector, or a chunk of them."""

from dataclasses import dataclass

from torch import Tensor

from pgcontrol.options import option
from pgcontrol.tokenizers.base import Additive, lloyd


class KMeans(Additive):
    """The vocabulary is the K cluster centres of the data (as in BeT, arXiv 2206.11251, section 3)."""

    name = "kmeans"

    @dataclass(frozen=True)
    class Options:
        """The settings of k-means."""

        codes: int = option(64, "K: action vectors (or chunks) in the vocabulary", least=2, most=4096)

    def _fit(self, chunks: Tensor) -> None:
        self.table[0] = lloyd(chunks.flatten(1), self.codes)
