"""The floors of the house: imports go down only, within a folder there are no circles, files stay short."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"pgcontrol": ROOT / "pgcontrol", "pgcontrol_envs": ROOT / "envs" / "pgcontrol_envs"}
FLOORS = [
    "__main__",
    "cli",
    "commands",
    "laws",
    "templates",
    "bench",
    "theory",
    "reporting",
    "diagnosis",
    "sweep",
    "training",
    "exporting",
    "viewer",
    "rendering",
    "data",
    "runs",
    "learning",
    "play",
    "policy",
    "moments",
    "flat",
    "heads",
    "critics",
    "trunks",
    "loggers",
    "tokenizers",
    "measures",
    "charts",
    "machine",
    "flags",
    "parts",
    "arguments",
    "options",
    "text",
    "pgcontrol_envs",
]
"""From the top down. A folder or file may import those below it, also lazily."""
DOTTED = re.compile(r"pgcontrol(_envs)?(\.\w+)+(:\w+)?")


def modules() -> dict[str, ast.Module]:
    found = {}
    for name, root in PACKAGES.items():
        for file in root.rglob("*.py"):
            parts = [name, *file.relative_to(root).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = ast.parse(file.read_text())
    return found


MODULES = modules()


def imports(module: str) -> set[str]:
    """Our own modules that a module imports, lazily or not, or names in a string; TYPE_CHECKING blocks count, too.

    A module may name its own folder, as for the files in it.
    """
    found = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (
                importlib.util.resolve_name("." * node.level + (node.module or ""), module)
                if node.level
                else str(node.module)
            )
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names}
        elif isinstance(node, ast.Constant) and DOTTED.fullmatch(str(node.value)):
            name = str(node.value).split(":")[0]
            found |= {name, name.rpartition(".")[0]}
    return {m for m in found if m in MODULES} - {module, module.rpartition(".")[0], "pgcontrol"}


def floor(module: str) -> str:
    package, _, rest = module.partition(".")
    return rest.split(".")[0] if package == "pgcontrol" else package


INSIDE = sorted(MODULES.keys() - {"pgcontrol"})  # the package itself only passes names on


def test_every_module_has_a_floor_and_every_floor_a_module():
    assert {floor(module) for module in INSIDE} == set(FLOORS)


@pytest.mark.parametrize("name", FLOORS)
def test_imports_go_down_only(name):
    above = FLOORS[: FLOORS.index(name)]
    for module in (m for m in INSIDE if floor(m) == name):
        for other in imports(module):
            assert floor(other) not in above, f"{module} imports {other}"


def test_no_circles():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in imports(module):
                visit(other, (*path, module))
            done.add(module)

    for module in INSIDE:
        visit(module, ())


def test_the_second_simulation_shares_no_code_with_tasks():
    """Otherwise it would repeat the errors that it is there to find."""
    seen, waiting = set[str](), ["pgcontrol.exporting.second"]
    while waiting:
        if (module := waiting.pop()) not in seen:
            seen.add(module)
            waiting += imports(module)
    assert "pgcontrol.exporting.interface" in seen
    assert not [module for module in seen if module.startswith("pgcontrol_envs")]


def test_files_stay_short():
    for root in (*PACKAGES.values(), ROOT / "tests"):
        for file in root.rglob("*.py"):
            assert len(file.read_text().splitlines()) <= 400, file
