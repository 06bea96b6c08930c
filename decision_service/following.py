"""Work beside the requests: a thread looks again and again for what waits, and one process at a time does it."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from decision_service.decide import Platform
from decision_service.errors import DecisionServiceError

TURN_SECONDS = 30.0
"""How long one worker goes on before another may; well below the length of a lease."""

log = logging.getLogger(__name__)


class Follower(ABC):
    """Something that is followed in a thread of its own, for as long as the process lives.

    What it works on is found in the store when it is durable, so nothing here can fail or hold up an answer.
    """

    name = "follower"
    poll_seconds = 1.0
    share = 0.05
    """Of a worker's time at most this much is spent beside the requests."""

    def __init__(self, platform: Platform, clock: Callable[[], datetime]) -> None:
        self._platform = platform
        self._clock = clock
        self._alarmed: set[str] = set()
        self._end = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self.follow, name=self.name, daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._end.set()

    def follow(self) -> None:
        """Until stopped: look whether anything waits, and if it is this process's turn, work on it."""
        while not self._end.wait(self.poll_seconds):
            try:
                if self._is_needed():
                    self._take_turn()
            except DecisionServiceError as error:
                self._alarm(str(error))

    def _is_needed(self) -> bool:
        """Whether there is anything to follow."""
        return True

    @abstractmethod
    def _turn(self) -> AbstractContextManager[bool]:
        """Whether it is this process's turn."""

    @abstractmethod
    def _step(self, ends: float) -> bool:
        """Work until a moment of the monotonic clock; whether to go on after a pause."""

    def _take_turn(self) -> None:
        with self._turn() as mine:
            if mine:
                self._work(time.monotonic() + TURN_SECONDS)

    def _work(self, ends: float) -> None:
        """Keep the turn for a while, so that one process and not each in turn loads what is needed."""
        while self._step(ends) and not self._end.wait(self.poll_seconds):
            pass

    def _rest(self, worked: float) -> None:
        """Wait as much longer than was worked as the share demands."""
        self._end.wait(worked * (1 / self.share - 1))

    def _alarm(self, what: str) -> None:
        """Each thing that goes wrong is told once, not each second."""
        if what not in self._alarmed:
            self._alarmed.add(what)
            log.error(what)
