"""Start the shop: `python3 -m shop`."""

import os
import signal
import sys
from types import FrameType

import uvicorn

from shop import log
from shop.settings import Settings
from shop.web import application


def main() -> None:
    """Serve until SIGTERM, finish the requests in flight, exit with 0."""
    # Before uvicorn listens, and once it has finished (it raises the signal again), SIGTERM is an ordinary end.
    signal.signal(signal.SIGTERM, _leave)
    try:
        settings = Settings.read(os.environ)
    except ValueError as error:
        sys.exit(str(error))
    log.start(settings.log_level)
    uvicorn.run(
        application(settings),
        host="0.0.0.0",
        port=settings.port,
        headers=[("x-version", settings.version)],
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=8,
    )


def _leave(_: int, __: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
