"""Files of words from templates."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from pgcontrol.text import short


def template(package: str, name: str, **filters: Callable[[Any], str]) -> Template:
    """A template that lies in a package; in one of HTML, values are escaped.

    Args:
        package: dotted.
        name: of the file.
        filters: what it may call beside Jinja's own and `short`.
    """
    env = Environment(loader=PackageLoader(package, "."), autoescape=".html" in name, undefined=StrictUndefined)
    env.trim_blocks = env.lstrip_blocks = True
    env.filters |= {"short": short} | filters
    return env.get_template(name)
