"""Storage that fails for a while is asked again: a limited number of times, over about a minute."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from ..credentials import masked

log = logging.getLogger(__name__)
Item = TypeVar("Item")
WAITS = (0.5, 2.0, 8.0, 20.0, 30.0)
"""Seconds before each new attempt."""
PASSING = {
    errno.EIO, errno.EAGAIN, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN,
    errno.ENETUNREACH, errno.EREMOTEIO,
}  # fmt: skip
"""What mounted file systems say while their server is away."""
PASSING_WORDS = (
    "NETWORK_CONNECTION", "SLOW_DOWN", "SERVICE_UNAVAILABLE", "INTERNAL_FAILURE", "REQUEST_TIMEOUT", "THROTTLING",
    "UNAVAILABLE", "DEADLINE_EXCEEDED", "HTTP status 500", "HTTP status 502", "HTTP status 503", "HTTP status 504",
)  # fmt: skip
"""What the clients of object stores say then: their errors have no numbers."""
HUB_OFFLINE = "OfflineModeIsEnabled"
"""What the hub's library raises under HF_HUB_OFFLINE, a ConnectionError that stays; it is not imported for its name."""


def retried(read: Callable[[], Item], sleep: Callable[[float], None] = time.sleep) -> Item:
    """Give what ``read`` gives, which is called again where the storage fails in a way that may pass."""
    return next(resumed(lambda given: iter([read()]), sleep))


def resumed(start: Callable[[int], Iterator[Item]], sleep: Callable[[float], None] = time.sleep) -> Iterator[Item]:
    """Iterate over ``start(0)``; where the storage fails after n items, in a way that may pass, over ``start(n)``."""
    given, waits = 0, iter(WAITS)
    while True:
        try:
            for item in start(given):
                yield item
                given, waits = given + 1, iter(WAITS)
            return
        except OSError as problem:
            wait = next(waits, None)
            if wait is None or not may_pass(problem):
                raise
            log.warning("storage fails (%s): trying again in %g s", masked(str(problem)), wait)
        sleep(wait)


def may_pass(problem: OSError) -> bool:
    """Tell whether a failure to read may be over soon, which a missing or a damaged file's never is."""
    return (
        problem.errno in PASSING
        or (isinstance(problem, ConnectionError | TimeoutError) and type(problem).__name__ != HUB_OFFLINE)
        or any(words in str(problem) for words in PASSING_WORDS)
    )
