"""What `python -m bench.chaos` is told: which faults, in what order, and where the record is kept."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.chaos.faults import Fault, chosen, every_fault, sample
from config.settings import HOUSE


def read(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; `faults` becomes the list of those that are meant."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="FAULT@STEP", help="these and no others, in this order")
    parser.add_argument("--seed", type=int, default=1, help="order and chances; the same seed plays the same")
    parser.add_argument("--fault", default="", help="one kind only, such as kill or hole-ledger")
    parser.add_argument("--step", default="", help="one step only, such as release:before-done-deploy; a part will do")
    parser.add_argument("--faults", type=int, default=None, metavar="N", help="so many at most")
    parser.add_argument("--sample", action="store_true", help="about twenty: every kind, and every verb")
    parser.add_argument("--fresh", action="store_true", help="forget what has passed")
    parser.add_argument("--list", action="store_true", help="name the faults and play none")
    parser.add_argument(
        "--keep", action="store_true", help="keep journal and logs of every fault, not of bad ends only"
    )
    parser.add_argument(
        "--part", type=_part, default=(0, 1), metavar="K/N", help="every Nth only, beginning with the Kth: N at a time"
    )
    parser.add_argument("--record", type=Path, default=HOUSE / ".interlock" / "chaos", help="folder of the records")
    options = parser.parse_args(words)
    options.part, parts = options.part
    options.faults = _meant(options)[max(0, options.part - 1) :: parts]
    if not options.faults:
        parser.error("no fault is called so; --list names them all")
    return options


def _part(word: str) -> tuple[int, int]:
    number, _, parts = word.partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{word!r} is not like 1/2")
    return int(number), int(parts)


def _meant(options: argparse.Namespace) -> list[Fault]:
    if options.names:
        known = {fault.name: fault for fault in every_fault()}
        return [known[name] for name in options.names] if known.keys() >= set(options.names) else []
    found = [it for it in every_fault() if options.fault in ("", it.kind) and options.step in it.step]
    exact = [it for it in found if it.step == options.step]
    some = exact or found
    return (
        sample(some, options.seed)[: options.faults] if options.sample else chosen(some, options.seed, options.faults)
    )
