"""A console that shows control characters in text from files, so that the text cannot control the terminal."""

from typing import Any

from rich.console import Console
from rich.text import Text

from pgcontrol.text import visible


class Terminal(Console):
    """Prints control characters as `\\\\x1b`; otherwise a name could hide text or change the window's title.

    Square brackets have no meaning: names may contain them.
    """

    def __init__(self, **options: Any):
        """`options`: those of rich's console."""
        super().__init__(markup=False, **options)

    def render_str(self, text: str, **how: Any) -> Text:
        """Text in rich's form; every printed string, table cell and title passes through here."""
        return super().render_str(visible(text), **how)
