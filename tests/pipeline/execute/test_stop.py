"""Signals while a run goes on: the first is a wish, the second an order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from pipeline.execute.interrupt import stoppable


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Leave the handlers of this process as they were."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_announced_and_the_second_interrupts(number: signal.Signals) -> None:
    """Between the two, work goes on."""
    said: list[str] = []
    with stoppable(lambda: said.append("stopping")) as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert said == ["stopping"]


def test_afterwards_signals_mean_what_they_did() -> None:
    """The handlers are those from before."""
    before = signal.getsignal(signal.SIGTERM)
    with stoppable(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    """A shell starts what runs in the background like that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stoppable(lambda: None) as stop:
        signal.raise_signal(signal.SIGINT)
        assert not stop.requested


def test_another_thread_changes_nothing() -> None:
    """Only the main thread may have handlers; a notebook runs code elsewhere."""
    found: list[bool] = []

    def work() -> None:
        with stoppable(lambda: None) as stop:
            found.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
