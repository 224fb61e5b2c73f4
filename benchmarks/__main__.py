"""The command: `python -m benchmarks` measures everything, or the parts that are named."""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from slipway.catalogue import load_catalogue

from benchmarks import copying, memory, paging, relay, report, requests, start_up
from benchmarks.services import SIZES

FRAMEWORKS = ("fastapi", "litestar")
BROKERS = load_catalogue().question("broker").values

Measurement = Callable[[Path, argparse.Namespace], report.Table]

MEASUREMENTS: dict[str, Measurement] = {
    "requests": lambda place, given: requests.measure(
        place, given.frameworks, given.services, given.rounds
    ),
    "start-up": lambda place, given: start_up.measure(
        place, given.frameworks, given.services, given.rounds
    ),
    "paging": lambda place, given: paging.measure(place, given.frameworks, given.services),
    "copying": lambda place, given: copying.measure(place, given.rounds),
    "memory": lambda place, given: memory.measure(
        place, given.frameworks, given.services[-1], given.seconds
    ),
    "relay": lambda place, given: relay.measure(place, given.frameworks[0], given.brokers),
}


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write them into the page unless told not to."""
    given = _parser().parse_args(words)
    for name in given.parts:
        with tempfile.TemporaryDirectory(prefix="slipway-benchmarks-") as place:
            table = MEASUREMENTS[name](Path(place), given)
        print(f"\n{name}\n\n{table}", flush=True)
        if not given.dry:
            report.write(name, table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parts = [*MEASUREMENTS]
    parser.add_argument(
        "parts", nargs="?", type=_choices(parts), default=parts, help=f"of {','.join(parts)}"
    )
    parser.add_argument("--frameworks", type=_choices(FRAMEWORKS), default=[*FRAMEWORKS])
    parser.add_argument("--services", type=_choices(SIZES), default=[*SIZES])
    parser.add_argument("--brokers", type=_choices(BROKERS), default=[*BROKERS])
    parser.add_argument("--rounds", type=int, default=11, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=60, help="how long memory is watched")
    parser.add_argument("--dry", action="store_true", help=f"leave {report.PAGE.name} as it is")
    return parser


def _choices(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        named = text.split(",")
        if not set(named) <= set(known):
            raise argparse.ArgumentTypeError(f"a list of {', '.join(known)}")
        return [name for name in known if name in named]

    return parse


if __name__ == "__main__":
    main()
