"""What the machine offers, and how to be safe on it: cores, graphics, processes, signals, files, locks."""
