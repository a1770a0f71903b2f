"""Clips show the result in their caption."""

import pytest

from pgcontrol.reporting import videos as module
from pgcontrol.reporting.queries import Queries
from pgcontrol.reporting.videos import videos
from pgcontrol.sweep import results
from pgcontrol.sweep.cell import Key

KEY = Key("Fork-v0", "beta", 0)


@pytest.fixture
def filmed(monkeypatch):
    """Names of the filmed runs, with a fake camera."""
    made: list[str] = []

    def film(runs, file, *_, **__):
        made.append(runs[0].name)
        file.parent.mkdir(exist_ok=True)
        file.write_text("a clip")

    monkeypatch.setattr(module, "video_of_runs", film)
    monkeypatch.setattr(module, "shows", lambda row, folder: True)
    return made


@pytest.fixture
def study(sweep, tmp_path):
    """One run, and whatever is changed of its row."""

    def of(**change):
        row = results.read(sweep)[KEY]
        moved = type(sweep)(**vars(sweep) | {"path": tmp_path / "study.yaml"})
        return Queries(moved, {KEY: row.changed(**change)}, tmp_path / "runs")

    return of


def test_a_clip_is_made_once_and_again_when_the_result_is_another(study, filmed):
    (first,) = videos(study(), "some", print).values()
    assert list(videos(study(), "some", print).values()) == [first]
    assert len(filmed) == 1
    settings = study().rows[KEY].settings
    for change in ({"steps": 2000}, {"return": 151.0}, {"settings": settings | {"total_steps": 2000}}):
        (again,) = videos(study(**change), "some", print).values()
        assert again != first
    assert len(filmed) == 4
    assert [file.name for file in first.parent.iterdir()] == [again.name]  # what it replaced is gone


def test_a_stale_clip_is_not_shown_where_the_run_is_gone(study, filmed, monkeypatch):
    videos(study(), "some", print)
    monkeypatch.setattr(module, "shows", lambda row, folder: False)
    assert videos(study(steps=2000), "some", print) == {}


def test_stale_clips_are_removed_whatever_is_shown_now(study, filmed):
    (first,) = videos(study(), "some", print).values()
    stale, foreign = (first.with_name(f"{name}-0123abcd.mp4") for name in (first.stem[:-9], "of-no-row"))
    stale.touch()
    foreign.touch()
    videos(study(), "none", print)
    assert stale.exists()
    videos(study(), "some", print)
    assert sorted(first.parent.iterdir()) == sorted([first, foreign])


def test_a_run_of_other_settings_is_not_filmed(study, tmp_path):
    assert not module.shows(study().rows[KEY], tmp_path / "nothing")
