"""Measurements in turns, so that a disturbance of the machine affects everything that is compared."""

from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any

from rich.table import Column, Table

from pgcontrol.machine.terminal import Terminal

Rates = dict[str, list[float]]  # name -> its rate in every turn


def in_turns(measures: Mapping[str, Callable[[], float]], turns: int) -> Rates:
    """Call each measure once per turn; each turn begins with another one.

    A measurement may leave threads or clock speeds behind, so no measure should always follow the same other one.
    """
    rates: Rates = {name: [] for name in measures}
    order = list(measures)
    for _ in range(turns):
        for name in order:
            rates[name].append(measures[name]())
        order = order[1:] + order[:1]
    return rates


def spans(rates: Rates) -> dict[str, dict[str, float]]:
    """Median, minimum and maximum over turns, for each name."""
    return {name: {"rate": median(turns), "low": min(turns), "high": max(turns)} for name, turns in rates.items()}


def ratio(rates: Rates, one: str, other: str) -> float:
    """The median over turns of one rate divided by another in the same turn."""
    return median(a / b for a, b in zip(rates[one], rates[other], strict=True))


def show(title: str, rows: Mapping[str, Mapping[str, Any]], more: Mapping[str, Iterable[str]]) -> None:
    """Print a table of rates with their ranges over turns, and further columns: name -> one cell per row."""
    columns = [Column("per second", justify="right"), Column("lowest to highest", justify="right", no_wrap=True)]
    columns += [Column(name, justify="right") for name in more]
    table = Table(Column("row", no_wrap=True), *columns, title=title)
    for (name, row), *cells in zip(rows.items(), *more.values(), strict=True):
        table.add_row(name, f"{row['rate']:,.0f}", f"{row['low']:,.0f} to {row['high']:,.0f}", *cells)
    Terminal(highlight=False, width=None if Terminal().is_terminal else 120).print(table)
