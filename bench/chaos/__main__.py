"""Break one thing after the other in real releases, and see that the world stays legal: `python -m bench.chaos`.

Needs root; it plays on a machine of its own (machine.py) and takes it away at the end. Stopped and called again, it
goes on where it was, as long as commit and seed are the same.
"""

import signal
import sys

from bench.chaos import machine, options
from domain.errors import ReleaseError


def main() -> int:
    """Hand the order on to the inside; its exit code is 1 when something is wrong."""
    asked = options.read()
    if asked.list:
        print("\n".join(fault.name for fault in asked.faults))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return machine.run_inside("bench.chaos.inside", sys.argv[1:])
    except KeyboardInterrupt:
        return 130
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
