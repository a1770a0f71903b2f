"""Measuring in turns, so that a disturbance of the machine meets all that is compared."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

Rates = dict[str, list[float]]
"""Name -> its rate in every turn."""


def in_turns(measures: Mapping[str, Callable[[], float]], turns: int) -> Rates:
    """Call each measure once a turn; each turn begins with another one.

    What runs before may leave threads or clocks behind, so that none is always second to the same.
    """
    rates: Rates = {name: [] for name in measures}
    order = list(measures)
    for _ in range(turns):
        for name in order:
            rates[name].append(measures[name]())
        order = order[1:] + order[:1]
    return rates


def spans(rates: Rates) -> dict[str, dict[str, float]]:
    """The median of each name's turns, the least and the most of them."""
    return {name: {"rate": median(turns), "low": min(turns), "high": max(turns)} for name, turns in rates.items()}


def ratio(rates: Rates, one: str, other: str) -> float:
    """The median over turns of one rate by another in the same turn."""
    return median(a / b for a, b in zip(rates[one], rates[other], strict=True))


def cells(span: Mapping[str, float]) -> tuple[str, str]:
    """Of a table: a rate, and its range over turns."""
    return f"{span['rate']:,.0f}", f"{span['low']:,.0f} to {span['high']:,.0f}"


def write(result: dict[str, Any], out: Path | None) -> dict[str, Any]:
    """The result, which is also written to `out`, as JSON, where one is given."""
    if out is not None:
        out.write_text(json.dumps(result, indent=1) + "\n")
    return result
