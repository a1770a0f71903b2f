"""What asks a training, or a sweep of them, to stop."""

import os
import signal

import pytest

from pgcontrol.machine.signals import PARENT, Interrupt, like_ctrl_c


def test_a_training_stops_when_the_parent_it_was_told_of_is_gone(monkeypatch):
    assert not Interrupt()
    monkeypatch.setenv(PARENT, str(os.getppid()))
    assert not Interrupt()
    monkeypatch.setenv(PARENT, str(os.getpid()))  # no parent of this process
    assert Interrupt()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_is_stopped_by_a_signal_as_by_ctrl_c(number):
    before = signal.signal(number, signal.SIG_DFL)  # these tests may have been started by nohup
    try:
        with pytest.raises(KeyboardInterrupt), like_ctrl_c():
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("listening", [Interrupt, like_ctrl_c])
def test_what_nohup_started_does_not_hear_a_hang_up(listening):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
