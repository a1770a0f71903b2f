"""Plug-ins: Python files and modules of the user, loaded once per process.

A plug-in is named by `use`, by the variable PGCONTROL_PLUGINS (several are separated by `os.pathsep`), or by an
installed package's entry point in the group `pgcontrol.plugins`. `Plugin.members` returns what it defines. Child
processes inherit the variable. `use` adds to it, so they load the same plug-ins.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

VARIABLE = "PGCONTROL_PLUGINS"
GROUP = "pgcontrol.plugins"
OURS = ("pgcontrol", "pgcontrol_envs")
KNOWN = (*OURS, "gymnasium")  # modules of these packages may always be imported


class PluginError(ValueError):
    """A plug-in cannot be loaded; the message gives the reason in one line."""


class Plugin(NamedTuple):
    """A loaded plug-in.

    Attributes:
        name: the file's name without .py, or the module's name.
        source: the file's absolute path, or the module's name.
        module: the module.
        digest: SHA-256 of its file, or of all .py files of its package, at the time of loading.
    """

    name: str
    source: str
    module: ModuleType
    digest: str

    @property
    def version(self) -> str | None:
        """The module's `__version__`, or the version of its distribution; None if there is neither."""
        try:
            return str(getattr(self.module, "__version__", None) or metadata.version(self.name.partition(".")[0]))
        except metadata.PackageNotFoundError:
            return None

    def owns(self, part: Any) -> bool:
        """Whether a class or object is a name of the module, except classes that it imports from pgcontrol."""
        return not _ours(part) and any(part is value for value in vars(self.module).values())

    def members(self, kind: Any) -> Iterator[Any]:
        """The subclasses of `kind` among the module's names, except those that pgcontrol defines."""
        for value in vars(self.module).values():
            if isinstance(value, type) and issubclass(value, kind) and not _ours(value):
                yield value


def _ours(part: Any) -> bool:
    return isinstance(part, type) and part.__module__.partition(".")[0] in OURS


_loaded: dict[str, Plugin] = {}  # by source
_failed: dict[str, str] = {}  # plug-ins of the variable or of entry points that could not be loaded: source -> reason
_looked = False


def use(source: str | Path) -> Plugin:
    """Load a plug-in in this process and in all child processes.

    Args:
        source: path of a file (FILE.py), or name of a module.

    Raises:
        PluginError: it cannot be loaded, or another plug-in has the same name.
    """
    found = loaded()
    source = _absolute(str(source))
    plugin = found.get(source) or _load(source)
    _pass_on(source)
    return plugin


def use_module(name: str) -> None:
    """Import a module that registers Gymnasium environments, as a plug-in. It may be in the current folder.

    A loaded plug-in of that name, or a module that Python has already imported, is used as it is.

    Raises:
        PluginError: it cannot be imported.
    """
    if name.partition(".")[0] in KNOWN:
        importlib.import_module(name)
        return
    plugin = named(name)
    if plugin is None and name in sys.modules:
        if getattr(sys.modules[name], "__file__", None):
            adopt(sys.modules[name])
        return
    plugin = plugin or use(name)
    sys.modules.setdefault(name, plugin.module)  # Gymnasium imports it by this name, also if it is in another folder


def is_named(module: str) -> bool:
    """Whether the module is in use already: as a plug-in, or because it was imported."""
    return module.partition(".")[0] in KNOWN or named(module) is not None or module in sys.modules


def named(name: str) -> Plugin | None:
    """The loaded plug-in with this name, or None."""
    return next((plugin for plugin in loaded().values() if plugin.name == name), None)


def adopt(module: ModuleType) -> Plugin:
    """Use a module that Python has already imported, such as the running script, as a plug-in.

    Raises:
        PluginError: it has no file. Child processes and later commands need one.
    """
    file = getattr(module, "__file__", None)
    if file is None:
        raise PluginError(f"{module.__name__} has no file: define what a run uses in a .py file")
    spec = module.__spec__
    in_package = spec is not None and ("." in spec.name or spec.submodule_search_locations is not None)
    source = module.__name__ if in_package else str(Path(file).resolve())
    found = loaded()
    if source not in found:
        found[source] = Plugin(module.__name__ if in_package else Path(file).stem, source, module, _digest(module))
        _pass_on(source)
    return found[source]


def _pass_on(source: str) -> None:
    """Let child processes load it as well."""
    if source not in (named := passed_on()):
        os.environ[VARIABLE] = os.pathsep.join([*named, source])


def passed_on() -> list[str]:
    """The sources of the plug-ins that child processes load: those of the command line, and of the variable."""
    return [_absolute(source) for source in os.environ.get(VARIABLE, "").split(os.pathsep) if source]


def loaded() -> dict[str, Plugin]:
    """All plug-ins by source. The first call loads those of the variable and of entry points.

    If one of these cannot be loaded, this prints a line to stderr, and commands that do not need it continue.
    """
    global _looked
    if not _looked:
        _looked = True  # set first: a plug-in that is being loaded may call this function
        sources = passed_on() + [entry.value for entry in metadata.entry_points(group=GROUP)]
        for source in dict.fromkeys(sources):
            try:
                _load(source)
            except PluginError as error:
                _failed[source] = str(error)
                print(f"pgcontrol: {error}; continuing without it", file=sys.stderr)
    return _loaded


def failed() -> dict[str, str]:
    """Source -> reason, for plug-ins of the variable or of entry points that could not be loaded."""
    return _failed


def _absolute(source: str) -> str:
    """The absolute path of a file; the name of a module is returned as it is.

    Raises:
        PluginError: it is neither.
    """
    file = Path(os.path.expanduser(source))
    if not file.name:
        raise PluginError(f"plug-in {source!r}: must be the path of a .py file or the name of a module")
    if source.endswith(".py") or os.sep in source or file.with_suffix(".py").is_file():
        return str((file if file.suffix == ".py" else file.with_suffix(".py")).resolve())
    return source


def _load(source: str) -> Plugin:
    is_file = source.endswith(".py")
    name = Path(source).stem if is_file else source
    for other in _loaded.values():
        if other.name == name:
            raise PluginError(f"plug-in {source}: {other.source} has the same name {name!r}; rename one of them")
    if is_file and not Path(source).is_file():
        raise PluginError(f"plug-in {source}: no such file")
    folder = str(Path(source).parent if is_file else Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)  # at the end, so that files in this folder shadow no other module
    try:
        module = _module_of_file(name, source) if is_file else importlib.import_module(source)
    except (Exception, SystemExit) as error:
        raise PluginError(f"plug-in {source}: {_why(error, source)}") from error
    if not getattr(module, "__file__", None):
        raise PluginError(f"plug-in {source}: a folder without __init__.py cannot be a plug-in")
    plugin = _loaded[source] = Plugin(name, source, module, _digest(module))
    return plugin


def _digest(module: ModuleType) -> str:
    # computed when the plug-in is loaded: the file may be edited while the run uses the old code
    file = Path(str(module.__file__))
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    total = hashlib.sha256()
    for one in files:
        total.update(one.relative_to(file.parent).as_posix().encode() + b"\0" + one.read_bytes())
    return total.hexdigest()


def _module_of_file(name: str, file: str) -> ModuleType:
    if (there := _imports(name, file)) and name in sys.modules:
        return sys.modules[name]
    # its own name avoids a conflict with other modules called robot; dataclasses need the entry in sys.modules
    spec = importlib.util.spec_from_file_location(f"plugin_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    if there:
        sys.modules[name] = module
    return module


def _imports(name: str, file: str) -> bool:
    """Whether `import name` would import this very file; then both must be the same module object."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module without a spec
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == Path(file).resolve()


def _why(error: BaseException, source: str) -> str:
    """The error in one line, with the number of the line in the plug-in that caused it."""
    if isinstance(error, SyntaxError):
        line = error.lineno
    else:
        frames = reversed(traceback.extract_tb(error.__traceback__))
        line = next((frame.lineno for frame in frames if frame.filename == source), None)
    words = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    return f"{f'line {line}: ' if line else ''}{type(error).__name__}: {words}"
