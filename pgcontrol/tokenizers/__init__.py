"""Tokenizers, one file each: they convert chunks of actions to codes and back. They do not depend on policies."""
