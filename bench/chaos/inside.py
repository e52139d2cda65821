"""The campaign inside its own machine: `python -m bench.chaos.inside FOLDER options…`; machine.py calls it."""

import os
import signal
import sys
from pathlib import Path

from bench.chaos import options
from bench.chaos.record import Record, commit
from deployments.embedded import prefect


def main() -> int:
    """Point this process at the Prefect that will be there, and play."""
    folder, asked = Path(sys.argv[1]), options.read(sys.argv[2:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ |= prefect.environment(folder / "stack" / "prefect", 1)  # its port is in the settings of each stack
    # Prefect reads its environment when it is imported.
    from bench.chaos import campaign  # noqa: PLC0415  # see above

    record = Record.open(asked.record.absolute(), commit(), asked.seed, fresh=asked.fresh, part=asked.part)
    return campaign.run(folder, asked.faults, record, asked.seed, keep=asked.keep)


if __name__ == "__main__":
    sys.exit(main())
