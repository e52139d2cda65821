"""An address of this machine that containers on every network reach: the gateway of a bridge of the stack's own.

Docker's default bridge would do, but it is not ours: an engine may run without it, and whoever starts a second engine
may take it away. What is sent to its address then leaves the machine by the default route.
"""

import socket

from adapters.docker_engine import Engine, speaking
from domain.errors import Unavailable


def ensure(stack: str, host: str | None) -> str:
    """Make sure that the stack has its bridge, and return the gateway's address; `down` removes it by its label.

    Raises Unavailable when the address is not this machine's, as with an engine on another one.
    """
    name, api = f"{stack}-gateway", Engine(host).api
    with speaking(f"making the network {name}"):
        if not any(row["Name"] == name for row in api.networks(names=[name])):  # Docker matches parts of names
            api.create_network(name, driver="bridge", labels={"interlock.stack": stack}, check_duplicate=True)
        address = str(api.inspect_network(name)["IPAM"]["Config"][0]["Gateway"])
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise Unavailable(
                f"network {name}: {address} is not an address of this machine",
                "the embedded stack needs an engine on this machine; remove the network and start again",
            ) from error
    return address
