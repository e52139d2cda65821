"""Debian's docker-registry as a process of our own, on loopback and a folder."""

from pathlib import Path

import httpx
import yaml

from deployments.embedded.process import Child
from deployments.embedded.process import start as start_process


def start(folder: Path, port: int) -> Child:
    """Serve the images in `folder` at http://127.0.0.1:PORT; deletes are switched off, so a digest stays resolvable."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "registry.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "version": 0.1,
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(folder / "images")}, "delete": {"enabled": False}},
                "http": {"addr": f"127.0.0.1:{port}"},
            }
        )
    )
    command = ["docker-registry", "serve", str(config)]
    return start_process("registry", command, folder=folder, ready=lambda: answers(f"http://127.0.0.1:{port}"))


def answers(url: str) -> bool:
    """Tell whether a registry answers there."""
    try:
        return httpx.get(f"{url}/v2/", timeout=2.0, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
