"""`python -m bench`: minigrad beside PyTorch, printed row by row and written as JSON.

With no arguments it times every op of the networks and then the networks themselves, which
takes many minutes. Start reading at `alexnet/timing.py`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shlex
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from alexnet.errors import InputError
from alexnet.twin import MINIGRAD, Disagreement, import_torch
from bench import machine, memory, networks, ops, profile, sweep, table
from bench.rows import Row

PARTS = ("ops", "networks", "sweep")


def main(arguments: list[str] | None = None) -> int:
    """Measure what the arguments ask for; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        import_torch()
    except InputError as error:
        raise SystemExit(f"bench: {error}") from None
    if options.profile:
        print(f"{machine.in_one_line(machine.describe())}\n")
        print(*profile.measure(networks.NETWORKS[options.profile], options.steps), sep="\n")
        return 0
    out = options.out or Path(__file__).parent / "out" / f"{datetime.now():%Y-%m-%d-%H%M%S}.json"
    facts = machine.describe()
    gc.freeze()  # PyTorch's many objects: a full collection inside a sample would take 0.2 s
    given = sys.argv[1:] if arguments is None else arguments
    facts["command"] = shlex.join(["python", "-m", "bench", *given])
    conditions = machine.in_one_line(facts)
    chosen = [networks.NETWORKS[name] for name in options.networks]
    rows: list[Row] = []
    peaks: dict[str, table.Peaks] = {}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)  # now, and not after minutes of measuring
        print(f"{conditions}\n\n{table.HEADER}", flush=True)
        if "ops" in options.only:
            for network in chosen:
                rows += _printed(ops.measure(network, options.ops, options.steps))
        if "networks" in options.only:
            for network in chosen:
                measured = _printed(networks.measure(network, options.steps))
                variants = (MINIGRAD, measured[0].baseline)
                peaks[network.name] = {v: memory.measure(network, v) for v in variants}
                print(table.memory_line(network.name, peaks[network.name]), flush=True)
                rows += measured
        if "sweep" in options.only:
            rows += _printed(sweep.measure(options.steps))
            print("\nThe sweep's worst:")
            print(*(line for row in sweep.worst(rows) for line in table.lines(row)), sep="\n")
        if "ops" in options.only:
            print("\nThe ops by what they cost a training step more than PyTorch's do:")
            print(*table.costs(rows), sep="\n")
        results = {**facts, "rows": [row.to_json() for row in rows], "peak_memory_bytes": peaks}
        out.write_text(json.dumps(results, indent=1) + "\n")
    except (Disagreement, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        gc.unfreeze()
    if options.markdown:
        print(f"\n{table.markdown(rows, peaks, conditions, facts['command'])}")
    print(f"\nAll samples are in {os.path.relpath(out)}")
    return 0


def _printed(rows: Iterable[Row]) -> list[Row]:
    """The rows, each printed as soon as it is there."""
    kept = []
    for row in rows:
        print(*table.lines(row), sep="\n", flush=True)
        kept.append(row)
    return kept


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Time minigrad beside PyTorch, in one process and strictly in turn. "
        "A ratio above 1 means that minigrad is faster.",
    )
    parser.add_argument(
        "--networks", nargs="+", metavar="NAME", default=list(networks.NETWORKS),
        choices=networks.NETWORKS, help="whose steps and shapes (default: all of %(choices)s)",
    )
    parser.add_argument(
        "--ops", nargs="+", metavar="NAME", default=list(ops.OPS), choices=ops.OPS,
        help="which ops (default: all of %(choices)s)",
    )
    parser.add_argument(
        "--only", nargs=1, metavar="PART", default=PARTS[:2], choices=PARTS,
        help="only the ops, only the whole networks, or instead of both a sweep of layers at odd "
        "sizes (%(choices)s)",
    )
    parser.add_argument(
        "--profile", metavar="NAME", choices=networks.NETWORKS,
        help="instead, print where the time of a network's training step goes (%(choices)s)",
    )
    parser.add_argument(
        "--steps", type=_positive, metavar="N",
        help="rounds a row (default: what fits some seconds, 3 to 15)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="where the JSON goes (default: bench/out/<date>.json)",
    )
    parser.add_argument(
        "--markdown", action="store_true", help="also print the networks as a table for the README"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
