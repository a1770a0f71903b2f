"""What a logged number is."""

from typing import NamedTuple


class Metric(NamedTuple):
    """Unit and meaning of a logged number. The unit is empty for a number without a unit."""

    unit: str
    meaning: str
