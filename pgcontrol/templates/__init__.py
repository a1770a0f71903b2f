"""Starting points for your own parts: `pgcontrol new` copies these files under another name."""
