"""What a run says while it works: a bar on a terminal, sparse plain lines everywhere else.

Lines that should stay (the plan, a row an epoch, the result) go to stdout and are never
overwritten. The bar is drawn on stderr, and only where that is a terminal: a log file gets a plain
line every half minute instead, and no control codes. No colours are used at all, so NO_COLOR has
nothing to switch off.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

QUIET_SECONDS = 30.0  # between two lines where there is no terminal


def say(*lines: str) -> None:
    """Print lines that stay, at once, also where the output is a pipe."""
    print(*lines, sep="\n", flush=True)


def on_terminal() -> bool:
    """Whether stderr can show a bar: a terminal that has a width and understands a return."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return False
    return os.get_terminal_size(sys.stderr.fileno()).columns > 0


class Progress:
    """How far a loop over `total` images is: `advance(n, "loss 0.41")` after each batch.

    Args:
        label: what is going on, such as "epoch 3/8".
        done: images that were already seen, in an earlier process.
    """

    def __init__(self, label: str, total: int, done: int = 0) -> None:
        self.label, self.total, self.done = label, total, done
        self.began_at, self.began = done, time.monotonic()
        self.last_line = self.began
        self.bar: Any = None

    def __enter__(self) -> Progress:
        if on_terminal():
            from tqdm import tqdm

            self.bar = tqdm(
                desc=self.label,
                total=self.total,
                initial=self.done,
                unit=" images",
                leave=False,
                dynamic_ncols=True,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left{postfix}",
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, images: int, numbers: str = "") -> None:
        """`images` more are done; `numbers` says how it goes."""
        self.done += images
        if self.bar is not None:
            self.bar.set_postfix_str(numbers, refresh=False)
            self.bar.update(images)
            return
        now = time.monotonic()
        if now - self.last_line >= QUIET_SECONDS and self.done < self.total:
            self.last_line = now
            rate = (self.done - self.began_at) / (now - self.began)
            left = (self.total - self.done) / rate
            numbers = f"{numbers}, " if numbers else ""
            say(
                f"{self.label}: {self.done:,} of {self.total:,} images, {numbers}"
                f"{rate:,.0f} images/s, {duration(left)} left"
            )


class Table:
    """Rows of numbers under a header that is printed once, before the first row."""

    def __init__(self, columns: dict[str, int]) -> None:
        self.columns, self.begun = columns, False

    def row(self, *cells: str) -> None:
        if not self.begun:
            say("  ".join(f"{name:>{width}}" for name, width in self.columns.items()))
            self.begun = True
        say(
            "  ".join(
                f"{cell:>{width}}" for cell, width in zip(cells, self.columns.values(), strict=True)
            )
        )


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """A list that holds the seconds the block took, once it has ended."""
    seconds: list[float] = []
    began = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - began)


def counted(n: int, what: str) -> str:
    """ "1 file", "2,000 files"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def duration(seconds: float) -> str:
    """ "8.3 s", "3 min 20 s", "2 h 05 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
