"""The report of a sweep: one HTML file that needs nothing else, from the rows of results."""

import webbrowser
from collections.abc import Callable
from pathlib import Path

from pgcontrol.reporting.queries import Queries


def publish(queries: Queries, clips: str, show: bool, say: Callable[[str], object]) -> Path | None:
    """Tables, videos and NAME.html of the rows there are; what cannot be filmed is left out, and said.

    Args:
        queries: of the sweep's rows.
        clips: some, all or none: of which runs there are videos.
        show: in the browser.
        say: told where the report is.

    Returns:
        The page; None where there is no result yet.
    """
    from pgcontrol.reporting import page, tables, videos

    if not queries.rows:  # tables and report of other settings, if there are any, stay
        say("no results yet, so no report")
        return None
    tables.write(queries)
    written = page.write(queries, videos.videos(queries, clips, say))
    say(f"report: {written} ({written.stat().st_size / 1e6:.1f} MB)")
    if show:
        webbrowser.open(written.resolve().as_uri())
    return written
