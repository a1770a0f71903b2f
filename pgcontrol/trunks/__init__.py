"""Trunks, one file each. A trunk is the network that computes features of an observation."""
