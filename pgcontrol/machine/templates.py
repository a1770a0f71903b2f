"""Text files from templates."""

import functools
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from pgcontrol.text import short, with_error


def template(package: str, name: str, **filters: Callable[[Any], str]) -> Template:
    """A template in a package; values are escaped in HTML templates.

    Args:
        package: dotted name.
        name: name of the file.
        filters: filters in addition to Jinja's own, `short` and `with_error`.
    """
    return _environment(package, ".html" in name, **filters).get_template(name)


@functools.cache  # it keeps the compiled templates
def _environment(package: str, escaped: bool, **filters: Callable[[Any], str]) -> Environment:
    env = Environment(loader=PackageLoader(package, "."), autoescape=escaped, undefined=StrictUndefined)
    env.trim_blocks = env.lstrip_blocks = True
    env.filters |= {"short": short, "with_error": with_error} | filters
    return env
