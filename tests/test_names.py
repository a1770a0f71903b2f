"""One class name has one meaning in the whole package; `Options`, which every part has of its own, is the exception."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_class_name_has_one_meaning():
    meanings = defaultdict(set)
    for package in ("pgcontrol", "envs/pgcontrol_envs"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef) and node.name != "Options":
                    meanings[node.name.lstrip("_")].add(str(file.relative_to(ROOT)))
    assert {name: files for name, files in meanings.items() if len(files) > 1} == {}
