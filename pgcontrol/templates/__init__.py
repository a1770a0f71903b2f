"""Parts to begin with: `pgcontrol new` copies these files under another name."""
