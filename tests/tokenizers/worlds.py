"""Every kind of tokenizer, small."""

VARIANTS = {
    "bins": ("bins", 1, {"codes": 5}),
    "bins-chunk": ("bins", 2, {"codes": 4}),
    "kmeans": ("kmeans", 1, {"codes": 16}),
    "kmeans-chunk": ("kmeans", 4, {"codes": 32}),
    "vq": ("vq", 1, {"codes": 16}),
    "vq-chunk": ("vq", 4, {"codes": 16}),
    "rvq": ("rvq", 1, {"codes": 8, "levels": 2}),
    "rvq-chunk": ("rvq", 4, {"codes": 8, "levels": 3}),
    "fast": ("fast", 1, {"codes": 64, "length": 3, "scale": 8.0}),
    "fast-chunk": ("fast", 4, {"codes": 128, "length": 6, "scale": 8.0}),
}
"""Name -> (kind, horizon, settings)."""
