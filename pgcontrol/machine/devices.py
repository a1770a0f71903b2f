"""The device of a run: its name, its memory, and the context in which torch makes tensors there."""

import re
from contextlib import AbstractContextManager, nullcontext

import torch

from pgcontrol.machine import memory
from pgcontrol.machine.ranks import ALONE, Ranks
from pgcontrol.options import InputError


def named(device: str, ranks: Ranks = ALONE) -> torch.device:
    """The device `cpu`, `cuda` (the first one) or `cuda:i`. Of several ranks, each has its own `cuda` device.

    Raises:
        InputError: the name is invalid, this machine has no such device, or several ranks would share one.
    """
    if ranks.size > 1 and device.startswith("cuda"):
        if device != "cuda":
            raise InputError(f"device = {device!r}: each of the {ranks.size} processes needs its own; use cuda")
        device = f"cuda:{ranks.local}"
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ", ".join(["cpu", *(f"cuda:{i}" for i in range(found))])
    if not (match := re.fullmatch(r"cpu|cuda(:(\d+))?", device)):
        raise InputError(f"device = {device!r}: must be cpu, cuda or cuda:i; this machine has {names}")
    if device != "cpu" and int(match[2] or 0) >= found:
        cpu_only = "" if torch.version.cuda else ", and torch is installed without CUDA"
        raise InputError(f"device = {device!r}: this machine has no such device; it has {names}{cpu_only}")
    return torch.device("cuda", int(match[2] or 0)) if device != "cpu" else torch.device("cpu")


def on(device: torch.device) -> AbstractContextManager:
    """A context in which torch makes tensors on the device, if no other one is given."""
    return nullcontext() if device.type == "cpu" else device


def available(device: torch.device) -> float:
    """Bytes that can still be allocated on the device."""
    return memory.available() if device.type == "cpu" else torch.cuda.mem_get_info(device)[0]


def model(device: torch.device) -> str:
    """What the device is, for the manifest: "cpu", or the card's name."""
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)


def determinism(device: torch.device, physics: str) -> str:
    """What is equal when a run is repeated with the same settings and versions; docs/gpu.md explains it."""
    if device.type == "cpu":
        return f"bit for bit on one machine; {physics} physics on the CPU"
    what = "MuJoCo Warp adds contact forces in any order" if physics == "warp" else "the GPU adds in any order"
    return f"the same random numbers, but not bit for bit: {what}"
