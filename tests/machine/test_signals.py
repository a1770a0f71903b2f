"""Signals and other reasons for a training or a sweep to stop."""

import os
import signal

import pytest

from pgcontrol.machine.signals import PARENT, Interrupt, like_ctrl_c


def test_a_training_stops_when_its_named_parent_is_gone(monkeypatch):
    assert not Interrupt()
    monkeypatch.setenv(PARENT, str(os.getppid()))
    assert not Interrupt()
    monkeypatch.setenv(PARENT, str(os.getpid()))  # no parent of this process
    assert Interrupt()


def test_a_batch_system_s_notice_stops_the_training_of_a_worker_and_no_other(monkeypatch):
    ours = signal.getsignal(signal.SIGUSR2)
    with Interrupt():
        assert signal.getsignal(signal.SIGUSR2) is ours  # the business of the program around
    monkeypatch.setenv(PARENT, str(os.getppid()))
    with Interrupt() as asked:
        assert not asked
        os.kill(os.getpid(), signal.SIGUSR2)
        assert asked
    assert signal.getsignal(signal.SIGUSR2) is ours


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_is_stopped_by_a_signal_as_by_ctrl_c(number):
    before = signal.signal(number, signal.SIG_DFL)  # these tests may have been started by nohup
    try:
        with like_ctrl_c():
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # the second one of `timeout` does not stop the clean-up
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
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


@pytest.mark.parametrize("listening", [Interrupt, like_ctrl_c])
def test_handlers_of_a_program_around_python_stay(listening, monkeypatch):
    ours = signal.getsignal(signal.SIGTERM)
    foreign = {signal.SIGINT: None}  # Python returns None for a handler that it did not set
    monkeypatch.setattr(signal, "getsignal", lambda number, real=signal.getsignal: foreign.get(number, real(number)))
    heard, put = [], signal.signal
    monkeypatch.setattr(signal, "signal", lambda number, handler: (heard.append(number), put(number, handler))[0])
    with listening():
        pass
    assert signal.SIGINT not in heard
    assert heard.count(signal.SIGTERM) == 2
    assert signal.getsignal(signal.SIGTERM) is ours
