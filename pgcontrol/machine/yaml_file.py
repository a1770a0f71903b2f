"""Reads YAML written by people: numbers as in YAML 1.2, no duplicate keys, and protection against harmful files.

PyYAML reads YAML 1.1, in which 0100 is 64, 1:30 is 90 and 2026-02-30 an error. Aliases can make a few bytes expand to
gigabytes or to an endless structure, so the expanded size is limited.
"""

import re
from pathlib import Path
from typing import Any, cast

import yaml

from pgcontrol.options import InputError

LARGEST = 2**20  # maximum number of bytes of a file
MOST = 100_000  # maximum number of values of a file, with aliases expanded
INT = "tag:yaml.org,2002:int"
FLOAT = "tag:yaml.org,2002:float"
# numbers as in the core schema of YAML 1.2, section 10.3.2, plus 1_000_000 of YAML 1.1, which many sweeps use;
# everything else as in PyYAML, except dates
NUMBERS = {
    INT: re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+"),
    FLOAT: re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
}
OTHERS = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys in mappings; PyYAML would silently use the last one."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise InputError(f"{_line(key)}: {key.value!r} is a duplicate key")
            seen.add(key.value)
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _size(node, {})
        return node


_Loader.yaml_implicit_resolvers = {
    first: kept
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if (kept := [one for one in resolvers if one[0] in OTHERS])
}
for _tag, _pattern in NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern.pattern})$"), list("-+.0123456789"))
_Loader.add_constructor(INT, lambda loader, node: _int(str(loader.construct_scalar(cast(Any, node)))))


def read(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
        path: the file.
        what: what it should contain, for messages.

    Raises:
        InputError: there is no such file, or it is not a valid mapping; one line with the file and, if known, the line.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe would block
            raise InputError("is not a file")
        if (size := path.stat().st_size) > LARGEST:
            raise InputError(f"has {size:,} bytes; must have at most {LARGEST:,}")
        tree = yaml.load(path.read_text("utf-8"), _Loader)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except RecursionError:
        raise InputError(f"{path}: values are nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{path}: {where}not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:  # an invalid character, or an invalid value for a tag
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path}: must contain {what}")
    return tree


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Number of values in a node, with aliases expanded; None marks nodes that are being counted."""
    if id(node) not in known:
        known[id(node)] = None
        below = [child for pair in node.value for child in pair] if isinstance(node, yaml.MappingNode) else node.value
        children = below if isinstance(node, yaml.CollectionNode) else ()
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    size = known[id(node)]
    if size is None:
        raise InputError(f"{_line(node)}: an alias refers to a value that contains it")
    if size > MOST:
        raise InputError(f"{_line(node)}: more than {MOST:,} values, with aliases expanded")
    return size


def _int(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text.removeprefix("0o"), base)
