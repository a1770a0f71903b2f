"""Runs the laws on every part of a plug-in."""

import functools
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pgcontrol_envs import BrokenEnv
from pgcontrol_envs.plugins import Plugin
from pgcontrol_envs.task import TaskError

from pgcontrol.laws import a_head, critics, estimators, heads, tasks, tokenizers, training, trunks
from pgcontrol.laws.base import Broken, Law, NotJudged, laws_of, words
from pgcontrol.options import InputError
from pgcontrol.runs import catalog
from pgcontrol.text import one_line, typed

HORIZONS = (1, 4)  # actions per chunk with which a tokenizer is tested
# kinds with one subject per part: their laws, the setting that selects a part, and updates of the short training
PLAIN: dict[str, tuple[Any, str, int]] = {
    "task": (tasks, "env", 3),
    "critic": (critics, "critic", 1),
    "trunk": (trunks, "trunk", 1),
}


class Subject(NamedTuple):
    """A part with one choice of its options, and the laws to check.

    Attributes:
        laws: by name; they take the result of `make`.
        settings: settings of a short training that must succeed; None: such a part alone cannot be trained.
        updates: number of updates of that training.
    """

    title: str
    make: Callable[[], Any]
    laws: Mapping[str, Law]
    settings: Mapping[str, Any] | None = None
    updates: int = 1


class Ruling(NamedTuple):
    """The result of a law for a part.

    Attributes:
        verdict: ok, skipped or FAILED.
    """

    law: str
    verdict: str
    why: str = ""

    @property
    def broken(self) -> bool:
        """Whether the part breaks the law."""
        return self.verdict == "FAILED"


def subjects(plugin: Plugin) -> Iterator[Subject]:
    """All parts of a plug-in, kind by kind; a head once for each of its variants.

    Raises:
        InputError: it has no parts, or a name is taken.
    """
    catalog.use_plugin(plugin.source)
    brought = catalog.brought(plugin)
    for kind, (module, setting, updates) in PLAIN.items():
        for name, cls in brought[kind].items():
            make = functools.partial(module.make, cls)
            yield Subject(f"{kind} {name}", make, laws_of(module), {setting: name}, updates)
    for name, cls in brought["head"].items():
        for options in ({}, *cls.variants):
            settings = {"head": name} | {f"head.{key}": value for key, value in options.items()}
            title = ", ".join([f"head {name}", *(f"{key} = {typed(value)}" for key, value in options.items())])
            yield Subject(title, functools.partial(a_head.make, cls, options), laws_of(heads), settings)
    for name, cls in brought["tokenizer"].items():
        for horizon in HORIZONS:
            make = functools.partial(tokenizers.make, cls, horizon, {})
            settings = {"head": "token", "head.tokenizer": name, "head.horizon": horizon}
            yield Subject(f"tokenizer {name}, horizon = {horizon}", make, laws_of(tokenizers), settings, 2)
    for name, cls in brought["estimator"].items():
        make = functools.partial(estimators.make, cls, catalog.algorithms().values())
        yield Subject(f"estimator {name}", make, laws_of(estimators))
    for name, cls in brought["rule"].items():
        if all(row.rule is not cls for row in brought["algorithm"].values()):
            yield Subject(f"rule {name}", lambda: None, {"it trains": _needs_a_row})
    for kind in ("algorithm", "logger"):
        for name in brought[kind]:
            yield Subject(f"{kind} {name}", lambda: None, {}, {kind: name})


def _needs_a_row(_: Any) -> None:
    raise NotJudged("no algorithm of this plug-in uses it")


def judge(subject: Subject, plugin: Plugin) -> Iterator[Ruling]:
    """One ruling per law. If the part cannot be made or breaks its first law, the other laws are skipped."""
    try:
        part = subject.make()
    except Exception as error:
        yield _ruled("it can be made", error, plugin)
        return
    for name, law in subject.laws.items():
        yield (ruling := _ask(name, functools.partial(law, part), plugin))
        if ruling.broken and law is next(iter(subject.laws.values())):
            yield Ruling("all other laws", "skipped", "they depend on the first one")
            return
    if subject.settings is not None:
        yield _ask("it trains", functools.partial(training.check, subject.settings, subject.updates), plugin)


def _ask(law: str, call: Callable[[], None], plugin: Plugin) -> Ruling:
    try:
        call()
    except Exception as error:
        return _ruled(law, error, plugin)
    return Ruling(words(law), "ok")


def _ruled(law: str, error: Exception, plugin: Plugin) -> Ruling:
    """The ruling for an exception: a law's own message, or the line in the plug-in's code that raised it."""
    said = one_line(error, 400)
    if isinstance(error, NotJudged):
        return Ruling(words(law), "skipped", said)
    if not isinstance(error, Broken | BrokenEnv | InputError | TaskError):
        file = plugin.module.__file__
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        said = f"{f'line {lines[-1]}: ' if lines else ''}{type(error).__name__}: {said}"
    return Ruling(words(law), "FAILED", said)
