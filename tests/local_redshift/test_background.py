"""Items that a thread makes ahead of their use: none is lost, few are ahead, and nothing goes on afterwards."""

import threading
from collections.abc import Iterator

import pytest

from local_redshift.copy import background
from local_redshift.copy.background import in_background


def ignore() -> None:
    pass


def test_no_item_is_lost_and_few_are_made_ahead_of_a_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PATIENCE", 0.004)  # a put gives up and tries again after a quarter of it
    made = []

    def items() -> Iterator[int]:
        for n in range(20):
            made.append(n)
            yield n

    read = []
    for n in in_background(items(), 2, ignore, 1):
        threading.Event().wait(0.01)
        read.append(n)
        assert len(made) <= len(read) + 4  # two in the queue, one on its way into it, one in the making
    assert read == list(range(20))


def test_exception_of_the_maker_comes_after_what_it_made() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    read = in_background(items(), 2, ignore, 1)
    assert next(read) == 1
    with pytest.raises(ValueError, match="broken"):
        next(read)


def test_reader_that_stops_ends_the_maker() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    read = in_background(items(), 2, ignore, 1)
    assert next(read) == 0
    read.close()
    assert closed.wait(60)


def test_check_is_made_while_an_item_is_waited_for() -> None:
    let_go, checked = threading.Event(), []

    def items() -> Iterator[int]:
        let_go.wait(60)
        yield 1

    def stop_at_third() -> None:
        checked.append(1)
        if len(checked) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(in_background(items(), 1, stop_at_third, 0.001))
    let_go.set()
