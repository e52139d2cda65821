"""The bridge network of an environment."""

import time
from typing import Any

from docker.errors import APIError

from domain.canonical import sha256
from domain.errors import Unavailable


def ensure_network(api: Any, stack: str, environment: str) -> str:
    """Find or make an environment's network; return its id.

    The engine lets two networks have one name, and then takes neither; it never lets two have one bridge. So the
    bridge is named too (15 characters at most), and of several makers one succeeds. Raises Unavailable when none does.
    """
    name = f"interlock-{stack}-{environment}"
    labels = {"interlock.stack": stack, "interlock.environment": environment}
    bridge = {"com.docker.network.bridge.name": f"il-{sha256(labels)[:12]}"}
    refused = ""
    for _ in range(100):
        if found := [row["Id"] for row in api.networks(names=[name]) if row["Name"] == name]:
            return str(found[0])
        try:
            return str(api.create_network(name, driver="bridge", options=bridge, labels=labels)["Id"])
        except APIError as error:
            if error.status_code not in (403, 409):
                raise
            refused = str(error.explanation)
        time.sleep(0.05)  # somebody else has the bridge, and the network shows in a moment
    raise Unavailable(f"network {name} cannot be made: {refused}", "look at docker network ls")
