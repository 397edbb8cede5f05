"""Ctrl-C between two steps instead of in the middle of one.

The first Ctrl-C only raises a flag. The training loop looks at it after each step, by `check`, so
that what it then saves is complete. A second Ctrl-C stops at once. Next: `train.py`.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self


class Stopped(Exception):
    """The user wants the run to end here; it can be written down."""


class Interruption:
    """Inside the block, the first Ctrl-C makes `check` raise Stopped; a second raises
    KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def check(self) -> None:
        """Raises Stopped if Ctrl-C was pressed: to be called wherever stopping does no harm."""
        if self.requested:
            raise Stopped

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other may handle signals
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nfinishing this step; Ctrl-C again stops at once", file=sys.stderr, flush=True)
