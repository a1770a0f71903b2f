from fractions import Fraction

import imageio.v3 as imageio
import numpy as np
import pytest

from pgcontrol.machine.graphics import RenderError
from pgcontrol.rendering.encoding import check, decode, encode
from pgcontrol.rendering.layout import Box, Caption, Layout

SIZE, CRF = (160, 120), 20
WHOLE = Box(0, 0, *SIZE)


def noise(count: int):
    rng = np.random.default_rng(0)
    return (rng.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8) for _ in range(count))


def flat(level: int, count: int = 5):
    return (np.full((SIZE[1], SIZE[0], 3), level, np.uint8) for _ in range(count))


def test_what_is_written_is_what_players_want(tmp_path):
    path = tmp_path / "a.mp4"
    encode(path, noise(7), Fraction(125, 3), CRF)
    check(path, 7, [WHOLE])
    facts = imageio.immeta(path, plugin="FFMPEG")
    assert facts["codec"] == "h264"
    assert facts["pix_fmt"].startswith("yuv420p")
    assert facts["size"] == SIZE
    assert facts["fps"] == pytest.approx(41.67, abs=0.01)
    pictures = list(decode(path))
    assert len(pictures) == 7
    assert pictures[0].shape == (*SIZE[::-1], 3)


def test_a_larger_crf_is_a_smaller_file(tmp_path):
    fine, coarse = tmp_path / "fine.mp4", tmp_path / "coarse.mp4"
    encode(fine, noise(3), Fraction(20), 20)
    encode(coarse, noise(3), Fraction(20), 26)
    assert coarse.stat().st_size < 0.75 * fine.stat().st_size


@pytest.mark.parametrize("level", [0, 3, 128, 255])
def test_black_and_flat_pictures_are_found_out(level, tmp_path):
    path = tmp_path / "a.mp4"
    encode(path, flat(level), Fraction(20), CRF)
    with pytest.raises(RenderError, match="black or has only one colour"):
        check(path, 5, [WHOLE])


def test_one_black_scene_among_two_is_found_out_in_spite_of_captions(tmp_path):
    path, layout = tmp_path / "a.mp4", Layout(2, SIZE)
    page = layout.blank()
    for i in range(2):
        layout.write(page, i, Caption("gaussian", (), 1, 2.0, 3.0, False))
    layout.scenes[0].of(page)[:] = next(noise(1))
    layout.scenes[1].of(page)[:] = 0
    encode(path, [page] * 3, Fraction(20), CRF)
    check(path, 3, layout.scenes[:1])
    with pytest.raises(RenderError, match="scene 2 is black"):
        check(path, 3, layout.scenes)


def test_a_picture_in_any_frame_is_enough(tmp_path):
    path = tmp_path / "a.mp4"
    encode(path, [*flat(0, 4), *noise(1)], Fraction(20), CRF)
    check(path, 5, [WHOLE])


def test_missing_frames_are_found_out(tmp_path):
    path = tmp_path / "a.mp4"
    encode(path, noise(4), Fraction(20), CRF)
    with pytest.raises(RenderError, match="4 frames instead of 6"):
        check(path, 6, [WHOLE])


def test_a_file_that_is_no_video(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video" * 100)
    with pytest.raises(RenderError, match=r"a\.mp4 cannot be decoded"):
        check(path, 6, [WHOLE])


def test_frames_are_streamed(tmp_path):
    """No frame is asked for before ffmpeg has taken the one before it: 170 MB pass through, a few at a time."""
    alive, most = [0], [0]

    class Frame(np.ndarray):
        def __del__(self):
            alive[0] -= 1

    def frames():
        for _ in range(60):
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            yield np.zeros((720, 1280, 3), np.uint8).view(Frame)

    encode(tmp_path / "a.mp4", frames(), Fraction(20), CRF)
    assert most[0] <= 3
