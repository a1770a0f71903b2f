"""VQ-VAE: one code per chunk, learned by an encoder and a decoder."""

import torch
from torch import Tensor, nn

from pgcontrol.tokenizers.base import CODEBOOK, Additive
from pgcontrol.tokenizers.kmeans import KMeans


class VQ(Additive):
    """VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937, eq. 3), with a codebook updated by moving averages.

    With one code per chunk, the decoder has only K different outputs. They are written into a table once, and the
    networks are dropped after `fit`. `encode` takes the nearest *decoded* chunk, not the nearest latent: its error is
    never larger, and it is exact for decoded chunks.
    """

    name = "vq"
    Options = KMeans.Options
    requires = "vector_quantize_pytorch"
    LATENT, HIDDEN, STEPS, BATCH = 16, 128, 400, 512

    @torch.enable_grad()
    def _fit(self, chunks: Tensor) -> None:
        from vector_quantize_pytorch import VectorQuantize

        data = chunks.flatten(1)
        size = data.shape[1]
        encoder = nn.Sequential(nn.Linear(size, self.HIDDEN), nn.GELU(), nn.Linear(self.HIDDEN, self.LATENT))
        decoder = nn.Sequential(nn.Linear(self.LATENT, self.HIDDEN), nn.GELU(), nn.Linear(self.HIDDEN, size))
        codebook = VectorQuantize(self.LATENT, self.codes, decay=0.9, commitment_weight=0.25, **CODEBOOK)
        optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, total_iters=self.STEPS)
        for step in range(self.STEPS):
            batch = data[torch.randint(len(data), (self.BATCH,))]
            latent = encoder(batch)
            # an autoencoder first, so that the codebook is initialised from useful latents
            quantised, commitment = latent, latent.new_zeros(())
            if step >= self.STEPS // 4:
                quantised, _, commitment = codebook(latent)
            loss = (decoder(quantised) - batch).square().mean() + commitment.sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        self.table[0] = decoder(codebook.codebook).detach().clamp(-1.0, 1.0)
