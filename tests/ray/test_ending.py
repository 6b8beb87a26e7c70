"""At the end of its process a trial waits for nobody who might take its report."""

from __future__ import annotations

import threading

import pytest

from bistil_ray.distributed.ending import given_up_at_the_end
from bistil_ray.train import notice


def test_a_report_is_made_once_and_waited_for() -> None:
    made: list[str] = []
    given_up_at_the_end(made.append)("figures")
    assert made == ["figures"]


@pytest.mark.parametrize("problem", [SystemExit(0), ValueError("no")])
def test_what_a_report_raises_is_raised(problem: BaseException) -> None:
    def stop(message: str) -> None:
        raise problem

    with pytest.raises(type(problem)):
        given_up_at_the_end(stop)("figures")


def test_a_report_that_nobody_takes_is_left_when_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    at_its_end, taken = threading.Event(), threading.Event()
    monkeypatch.setattr(notice, "_at_its_end", at_its_end)

    def wait_for_ever(message: str) -> None:
        at_its_end.set()  # it comes while the report waits
        taken.wait()

    given_up_at_the_end(wait_for_ever)("figures")
    given_up_at_the_end(lambda message: pytest.fail("nobody is there any more"))("figures")
    taken.set()
