"""The settings of a new stack: which products it uses, and on which ports they listen."""

import socket
from collections.abc import Mapping
from pathlib import Path

import yaml


def first_settings(stack: str, config: Path, host: str, ports: Mapping[str, int]) -> str:
    """Write the settings file of a new stack; every folder lies beside it."""
    return yaml.safe_dump(
        {
            "stack": stack,
            "config": str(config),
            "people": "people.yaml",
            "sources": "sources",
            "ledger": {"url": "secret://file/ledger-url"},
            "engine": {"kind": "docker", "host": host},
            "registry": {"kind": "oci", "url": f"http://127.0.0.1:{ports['registry']}"},
            "router": {"kind": "haproxy", "folder": "router"},
            "store": {"kind": "folder", "folder": "store"},
            "secrets": {"folder": "secrets"},
            "notices": {"kind": "folder", "folder": "notices"},
            "lease": {"ttl": "15s"},
            "judge": {"period": "1s"},
            "prefect": {
                "api": f"http://127.0.0.1:{ports['prefect']}/api",
                "ui": f"http://127.0.0.1:{ports['prefect']}",
            },
        },
        sort_keys=False,
    )


def choose_ports(usual: Mapping[str, int]) -> dict[str, int]:
    """Take the usual port of every product, or the next free one above it."""
    chosen: dict[str, int] = {}
    for name, first in usual.items():
        chosen[name] = next(port for port in range(first, 65536) if port not in chosen.values() and free(port))
    return chosen


def free(port: int) -> bool:
    """Tell whether nobody listens on 127.0.0.1:`port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections linger, and do no harm
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
