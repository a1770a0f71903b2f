"""Imports run one way only."""

import ast
import importlib.util
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = {"pgcontrol": ROOT / "pgcontrol", "pgcontrol_envs": ROOT / "envs" / "pgcontrol_envs"}

# later layers may import earlier ones, never the other way round; within a layer there are no circles
LAYERS = [
    ["pgcontrol_envs"],
    ["pgcontrol.options", "pgcontrol.discovery", "pgcontrol.arguments"],
    ["pgcontrol.runs.checkpoint"],  # folders of tensors: knows nothing of runs
    [
        "pgcontrol.heads",
        "pgcontrol.tokenizers",
        "pgcontrol.critics",
        "pgcontrol.trunks",
        "pgcontrol.learning.advantages",
        *(f"pgcontrol.diagnosis.{m}" for m in ["spread", "modes", "health"]),
    ],
    ["pgcontrol.policy"],
    ["pgcontrol.learning.compiling"],
    [
        f"pgcontrol.learning.{m}"
        for m in [
            "rollout",
            "sampling",
            "optimiser",
            "updates",
            "fitting",
            "score",
            "natural",
            "replay",
            "decqn",
            "algorithms",
        ]
    ]
    + ["pgcontrol.diagnosis.watch"],
    ["pgcontrol.catalog"],
    ["pgcontrol.runs"],
    ["pgcontrol.diagnosis.verdicts"],
    ["pgcontrol.view"],
    ["pgcontrol.data"],
    [f"pgcontrol.learning.{m}" for m in ["train", "threads", "signals", "asynchronous", "prior", "clone"]],
    [
        "pgcontrol.api",
        "pgcontrol.bench",
        "pgcontrol.experiment",
        "pgcontrol.diagnosis",
        "pgcontrol.theory",
        "pgcontrol.tokenize",
        "pgcontrol.record",
    ],
    ["pgcontrol.commands"],
    ["pgcontrol.cli"],
    ["pgcontrol.__main__"],
]


def modules() -> dict[str, ast.Module]:
    found = {}
    for name, root in PACKAGES.items():
        for file in root.rglob("*.py"):
            parts = [name, *file.relative_to(root).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = ast.parse(file.read_text())
    return found


MODULES = modules()


def imports(module: str) -> set[str]:
    """Our own modules that a module imports, lazily or not; TYPE_CHECKING blocks are no imports."""
    found = set()
    tree = MODULES[module]
    skipped = {
        id(n)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for n in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (
                importlib.util.resolve_name("." * node.level + (node.module or ""), module)
                if node.level
                else node.module
            )
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else str(base) for a in node.names}
    return {m for m in found if m in MODULES} - {module}


def layer(module: str) -> int:
    matches = [(len(p), i) for i, prefixes in enumerate(LAYERS) for p in prefixes if f"{module}.".startswith(f"{p}.")]
    return max(matches)[1] if matches else 0


def test_every_module_has_a_layer():
    for module in set(MODULES) - {"pgcontrol", "pgcontrol.learning", "pgcontrol.diagnosis"}:
        assert any(f"{module}.".startswith(f"{p}.") for prefixes in LAYERS for p in prefixes), module


def test_no_arrow_points_up():
    for module in MODULES:
        for other in imports(module):
            assert layer(other) <= layer(module), f"{module} imports {other}"


def test_worlds_know_nothing_of_learning():
    for module in MODULES:
        if module.startswith("pgcontrol_envs"):
            assert not any(m.split(".")[0] == "pgcontrol" for m in imports(module)), module


def test_no_circles():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in imports(module):
                visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_files_stay_short():
    for root in (*PACKAGES.values(), ROOT / "tests"):
        for file in root.rglob("*.py"):
            assert len(file.read_text().splitlines()) <= 400, file
