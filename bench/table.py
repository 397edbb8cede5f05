"""Results as text: lines for the terminal, as soon as each is measured, and Markdown for a README.
"""

from __future__ import annotations

from collections.abc import Iterable

from alexnet.timing import Series
from alexnet.twin import MINIGRAD
from bench.rows import TOTAL, Row

Peaks = dict[str, int]  # variant -> bytes that a training step adds: ours, and one of PyTorch's
HEADER = (
    f"{'network':14}{'what':25}{'input':16}{'phase':10}{'minigrad ms':>22}{'PyTorch ms':>22}  "
    f"{'PyTorch variant':26}{'ratio':22}{'images/s':>8}{'n':>4}"
)


def lines(row: Row) -> list[str]:
    """A row for the terminal: a line a phase, and for a whole step first their sum."""
    parts = row.phases if row.kind == "op" or len(row.phases) == 1 else [TOTAL, *row.phases]
    return [_line(row, part, first=part == parts[0]) for part in parts]


def _line(row: Row, part: str, first: bool) -> str:
    label = f"{row.network:14}{row.name:25}{'x'.join(map(str, row.shape)):16}" if first else ""
    ours, theirs = row.seconds(MINIGRAD, part), row.seconds(row.baseline, part)
    speed = _speed(row, MINIGRAD) if row.kind == "network" and first else ""
    return (
        f"{label:55}{part:10}{_ms(ours):>22}{_ms(theirs):>22}  "
        f"{row.baseline:26}{_ratio(row.ratio(part)):22}{speed:>8}{ours.n:4}"
    )


def _ms(seconds: Series) -> str:
    """0.01234 s, once 0.012 and once 0.013 -> "12.3 (12.0..13.0)"."""
    median, least, most = (
        _three_digits(value * 1e3) for value in (seconds.median, seconds.least, seconds.most)
    )
    return f"{median} ({least}..{most})"


def _speed(row: Row, variant: str) -> str:
    return _three_digits(row.images_per_second(variant))


def _three_digits(value: float) -> str:
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"


def _ratio(ratio: Series) -> str:
    return f"{ratio.median:.2f} ({ratio.least:.2f}..{ratio.most:.2f})"


def memory_line(network: str, peaks: Peaks) -> str:
    """The peak memory of a training step for the terminal."""
    (_, ours), (variant, theirs) = peaks.items()
    return (
        f"{network:14}{'peak memory of a step':51}{_mib(ours):>22}{_mib(theirs):>22}  "
        f"{variant:26}{theirs / ours:.2f}"
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def costs(rows: Iterable[Row]) -> list[str]:
    """What each op costs a training step more than in PyTorch, the worst first."""
    used = (row for row in rows if row.kind == "op" and row.times)
    ranked = sorted(used, key=Row.extra_seconds, reverse=True)
    return [
        f"{row.network:14}{row.name:25}{row.times} x {_ms(row.seconds(MINIGRAD)):22}"
        f"ratio {_ratio(row.ratio()):22}{row.extra_seconds() * 1e3:+9.1f} ms a step"
        for row in ranked
    ]


def markdown(rows: Iterable[Row], memory: dict[str, Peaks], conditions: str, command: str) -> str:
    """The table of whole networks for a README, with what it was measured on."""
    table = [
        "| network | batch | minigrad | images/s | PyTorch | images/s | ratio (spread) | n "
        "| peak memory of a step: minigrad, PyTorch |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row.kind == "network":
            peaks = memory.get(row.network, {}) if row.name == "training step" else {}
            ours, theirs = row.seconds(MINIGRAD), row.seconds(row.baseline)
            table.append(
                f"| {row.network}, {row.name} | {row.shape[0]} "
                f"| {_three_digits(ours.median * 1e3)} ms | {_speed(row, MINIGRAD)} "
                f"| {_three_digits(theirs.median * 1e3)} ms ({row.baseline}) "
                f"| {_speed(row, row.baseline)} "
                f"| **{row.ratio().median:.2f}** {_ratio(row.ratio()).partition(' ')[2]} "
                f"| {row.ratio().n} | {', '.join(map(_mib, peaks.values()))} |"
            )
    note = "Medians of n rounds in turn; ratio: PyTorch's time / minigrad's"
    return "\n".join([*table, "", f"{note}. {conditions} `{command}`"])
