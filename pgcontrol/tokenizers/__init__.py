"""Tokenizers, one file each: chunks of actions to codes and back. They know nothing of policies."""
