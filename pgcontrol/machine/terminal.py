"""The terminal: what files hold is shown on it, and cannot command it."""

from typing import Any

from rich.console import Console
from rich.text import Text

from pgcontrol.text import visible


class Terminal(Console):
    """Shows control characters of words that are printed as `\\\\x1b`; an arm's name might else hide or retitle."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Words as rich shows them: every line, cell and title that is printed as a string comes by here."""
        return super().render_str(visible(text), **how)
