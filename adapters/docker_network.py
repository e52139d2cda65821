"""The bridge network of an environment, and the addresses of the replicas on it.

An engine that is started again gives out addresses anew, in whatever order containers come up: the router would send
one version's requests to the other. So every replica has an address of its own, from the lower half of the network;
the engine itself gives out the upper half, to whatever runs for a moment.
"""

import time
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import uuid4

from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

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
            pool = _pool(_free_subnet(api, labels))
            made = api.create_network(name, driver="bridge", options=bridge, labels=labels, ipam=pool)
            return str(made["Id"])
        except APIError as error:
            if error.status_code not in (403, 409):
                raise
            refused = str(error.explanation)
        time.sleep(0.05)  # somebody else has the bridge or the subnet, and the network shows in a moment
    raise Unavailable(f"network {name} cannot be made: {refused}", "look at docker network ls")


def own_address(api: Any, network: str, key: str) -> str | None:
    """Choose a free address for a replica, the same for the same key where it can be.

    None: the network was made before replicas had addresses of their own; remove it while nothing runs there.
    """
    config = (api.inspect_network(network)["IPAM"].get("Config") or [{}])[0]
    if not config.get("IPRange"):
        return None
    lower = next(IPv4Network(config["Subnet"]).subnets())
    size = lower.num_addresses - 2  # neither the network's own address nor the gateway
    start = int(sha256([key]), 16)
    taken = _taken(api, network)
    free = (str(lower[2 + (start + step) % size]) for step in range(size))
    return next((address for address in free if address not in taken), None)


def in_use(error: APIError) -> bool:
    """Tell whether a container could not start because somebody else has its address."""
    return "ddress already in use" in str(error.explanation)


def _taken(api: Any, network: str) -> set[str]:
    """List the addresses on a network, of stopped containers too."""
    taken = set()
    for row in api.containers(all=True, filters={"network": network}):
        for endpoint in ((row.get("NetworkSettings") or {}).get("Networks") or {}).values():
            asked = (endpoint.get("IPAMConfig") or {}).get("IPv4Address", "")
            taken |= {asked, endpoint.get("IPAddress", "")}
    return taken


def _free_subnet(api: Any, labels: dict[str, str]) -> str:
    """Ask the engine which subnet it would take: only one that is named lets containers name their addresses."""
    asked = api.create_network(f"interlock-asks-{uuid4().hex[:8]}", driver="bridge", labels=labels)["Id"]
    try:
        return str(api.inspect_network(asked)["IPAM"]["Config"][0]["Subnet"])
    finally:
        api.remove_network(asked)


def _pool(subnet: str) -> IPAMConfig:
    whole = IPv4Network(subnet)
    _, upper = whole.subnets()
    gateway: IPv4Address = whole[1]
    return IPAMConfig(pool_configs=[IPAMPool(subnet=subnet, iprange=str(upper), gateway=str(gateway))])
