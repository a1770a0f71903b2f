"""The gallery: its films are there and small, its rows complete, and its page is that of the rows."""

import math
import re

import pytest
from PIL import Image, ImageSequence

from experiments import gallery
from pgcontrol.runs import catalog

FILMS = (*gallery.FILMS, gallery.README)
ROWS = gallery.read()


@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.name)
def test_a_film_moves_and_is_small(film):
    path = gallery.IMAGES / f"{film.name}.webp"
    lasting = 0.0  # milliseconds
    with Image.open(path) as picture:
        for frame in ImageSequence.Iterator(picture):
            frame.load()
            lasting += frame.info["duration"]
    assert 3_000 < lasting < 8_000
    assert path.stat().st_size < (1.5e6 if film is gallery.README else 0.7e6)


def test_there_are_twelve_different_films_and_no_others():
    names = {film.name for film in gallery.FILMS}
    assert len(names) == len({film.runs[0]["env"] for film in gallery.FILMS}) == 12
    files = [*(gallery.IMAGES / "gallery").iterdir()]
    assert {f"gallery/{file.stem}" for file in files} == names
    assert sum(file.stat().st_size for file in files) < 7e6


@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.name)
def test_each_run_of_a_film_has_a_complete_row(film):
    rows = [row for row in ROWS if row["film"] == film.name]
    assert len(rows) == len(film.runs)
    for row, settings in zip(rows, film.runs, strict=True):
        assert row["command"] == gallery.command(settings)
        assert (row["task"], row["seed"]) == (settings["env"], settings["seed"])
        assert row["head"] in catalog.heads()
        assert row["steps"] > 0
        assert row["seconds"] > 0
        assert row["low"] <= row["return"] <= row["high"]
        assert math.isfinite(row["high"] - row["low"])
        assert re.fullmatch("[0-9a-f]{40}", row["revision"])  # a + would say that files differed from it
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])


def test_the_page_is_that_of_the_rows():
    assert gallery.PAGE.read_text("utf-8") == gallery.page(ROWS)
    assert all(film.says for film in FILMS)


def test_the_readme_shows_its_film():
    film, text = gallery.README, (gallery.HERE.parent / "README.md").read_text("utf-8")
    assert f"(docs/images/{film.name}.webp)\n\n*{film.says}*\n" in text


def test_every_row_belongs_to_a_film():
    assert {row["film"] for row in ROWS} == {film.name for film in FILMS}
