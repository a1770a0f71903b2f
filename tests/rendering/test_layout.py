import numpy as np
import pytest

from pgcontrol.rendering.layout import BAR, MARK, Box, Caption, Layout

CAPTION = Caption("gaussian", ("ppo", "HalfCheetah-v5", "first"), 300_000, 1234.5, 3.2, False)


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("size", [(64, 64), (160, 120), (640, 480)])
def test_scenes_are_equal_even_and_apart(count, size):
    layout = Layout(count, size)
    assert all(side % 2 == 0 for side in layout.page)
    covered = np.zeros(layout.page[::-1], int)
    for scene in layout.scenes:
        assert (scene.width, scene.height) == size
        assert scene.of(covered).shape == size[::-1]  # nothing beyond the page
        scene.of(covered)[:] += 1
    assert covered.max() == 1


def test_up_to_three_stand_in_a_row():
    assert [len({s.y for s in Layout(n, (160, 120)).scenes}) for n in (1, 2, 3, 4, 9)] == [1, 1, 1, 2, 3]


def bar(caption: Caption, size=(480, 360)) -> np.ndarray:
    layout = Layout(1, size)
    page = layout.blank()
    layout.write(page, 0, caption)
    assert (layout.scenes[0].of(page) == BAR).all(), "text over the scene"
    return page[: layout.bar]


def test_every_part_of_the_caption_is_seen():
    first = bar(CAPTION)
    changed = [
        ("title", "binned"),
        ("details", ("npg",)),
        ("step", 5),
        ("score", -3.0),
        ("seconds", 9.0),
        ("ended", True),
    ]
    for name, value in changed:
        assert (bar(CAPTION._replace(**{name: value})) != first).any(), name
    ended = bar(CAPTION._replace(ended=True)).astype(int)
    assert (abs(ended - MARK).sum(-1) < 30).any()
    assert not (abs(first.astype(int) - MARK).sum(-1) < 30).any()


@pytest.mark.parametrize("size", [(64, 64), (120, 90), (160, 120), (320, 240), (640, 480)])
def test_text_stays_within_its_margins(size):
    long = CAPTION._replace(title="a head with a very long name indeed", score=-123456.7, step=10**9)
    picture = bar(long, size)
    margin = 4
    for edge in (picture[:, :margin], picture[:, -margin:], picture[:1], picture[-1:]):
        assert (edge == BAR).all()
    assert (picture != BAR).any()


def test_box_is_a_view():
    page = np.zeros((10, 20, 3))
    Box(4, 2, 6, 3).of(page)[:] = 1
    assert page.sum() == 6 * 3 * 3
    assert page[2, 4, 0] == 1
