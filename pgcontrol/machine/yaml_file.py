"""Reading YAML that people write: YAML 1.2's numbers, keys that are there once, and files that cannot hurt.

PyYAML reads YAML 1.1, where 0100 is 64, 1:30 is 90 and 2026-02-30 an error. Aliases are a way to write a few bytes that
become gigabytes, or a structure without an end; they are followed only as far as they stay small.
"""

import re
from pathlib import Path
from typing import Any, cast

import yaml

from pgcontrol.options import InputError

LARGEST = 2**20  # bytes of a file
MOST = 100_000  # values of a file, aliases followed
INT = "tag:yaml.org,2002:int"
FLOAT = "tag:yaml.org,2002:float"
# the core schema of YAML 1.2, section 10.3.2, for numbers, and the 1_000_000 of YAML 1.1, which many sweeps have;
# whatever PyYAML knows otherwise but dates
NUMBERS = {
    INT: re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+"),
    FLOAT: re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
}
OTHERS = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _Loader(yaml.SafeLoader):
    """Mappings name each key once; of two, PyYAML would take the second without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise InputError(f"{_line(key)}: {key.value!r} is there twice")
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
    """The mapping that a YAML file holds.

    Args:
        path: the file.
        what: what it should hold, for messages.

    Raises:
        InputError: no such file, or not a mapping of values; one line with the file and, where there is one, the line.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise InputError("is no file")
        if (size := path.stat().st_size) > LARGEST:
            raise InputError(f"has {size:,} bytes: must have at most {LARGEST:,}")
        tree = yaml.load(path.read_text("utf-8"), _Loader)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except RecursionError:
        raise InputError(f"{path}: values lie too deep in one another") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{path}: {where}not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:  # a character, or a tag's content, that cannot be
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path}: must hold {what}")
    return tree


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many values a node holds, aliases followed; None stands for one that is being counted."""
    if id(node) not in known:
        known[id(node)] = None
        below = [child for pair in node.value for child in pair] if isinstance(node, yaml.MappingNode) else node.value
        children = below if isinstance(node, yaml.CollectionNode) else ()
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    size = known[id(node)]
    if size is None:
        raise InputError(f"{_line(node)}: an alias to what it stands in has no end")
    if size > MOST:
        raise InputError(f"{_line(node)}: more than {MOST:,} values, aliases followed")
    return size


def _int(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text.removeprefix("0o"), base)
