"""What charts are of: which arms, on what axes."""

from pgcontrol.experiment import results
from pgcontrol.experiment.report import figures
from pgcontrol.experiment.study import Study


def test_a_profile_compares_arms_that_ran_on_every_task(sweep):
    found = figures.profiles(Study(sweep, results.read(sweep)))
    assert found is not None
    assert 'data-arm="bins"' in found.drawing
    assert 'data-arm="mixture"' not in found.drawing  # on Fork alone
    assert "Left out, having run on some tasks only: mixture and beta." in found.caption
