"""A Python base image made of this machine's own interpreter: no registry, no download, the same bytes every time."""

import hashlib
import io
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from adapters.docker_engine import Engine, speaking
from domain.errors import Invalid

TAG = "interlock/python:3.11"
PACKAGES = ("starlette", "uvicorn", "psycopg[binary]")
_KEPT = "interlock/base"  # the repository whose tags are content hashes
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_HOME = Path("usr/local/lib", _VERSION)
_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
_UNWANTED = shutil.ignore_patterns(
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "config-3*", "*.a"),
    *("idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "_tkinter*.so", "_test*.so", "_ctypes_test*.so"),
)
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
_CHANGES = (
    "ENV PATH=/usr/local/bin:/usr/bin:/bin",
    "ENV PYTHONUNBUFFERED=1",
    "ENV PYTHONDONTWRITEBYTECODE=1",
    f"ENV SSL_CERT_FILE=/{_CERTIFICATES}",
    'CMD ["python3"]',
)


def ensure(host: str | None = None, tag: str = TAG, packages: Sequence[str] = PACKAGES) -> str:
    """Make sure that the engine has the base image under `tag`; return its id.

    The image holds the running interpreter in /usr/local, the packages with what they need, a shell (dash) and CA
    certificates. It is made once: a second tag, and the label `interlock.base`, name the hash of everything in it.
    Raises Invalid when a package is not installed here, Unavailable when the engine does not answer.
    """
    api = Engine(host).api
    name, _, version = tag.rpartition(":")
    with tempfile.TemporaryDirectory(prefix="interlock-base-") as folder, speaking(f"making the base image {tag}"):
        root = Path(folder)
        _fill(root, packages)
        content = _fingerprint(root)
        if not api.images(f"{_KEPT}:{content}"):
            _compile(root)
            changes = [*_CHANGES, f"LABEL interlock.base={content}"]
            api.import_image_from_data(_tar(root), repository=_KEPT, tag=content, changes=changes)
        api.tag(f"{_KEPT}:{content}", name, version)
        return str(api.inspect_image(tag)["Id"])


def contents(packages: Sequence[str] = PACKAGES) -> bytes:
    """Return the image's file system as a tar: sorted, owned by root, time zero."""
    with tempfile.TemporaryDirectory(prefix="interlock-base-") as folder:
        _fill(Path(folder), packages)
        _compile(Path(folder))
        return _tar(Path(folder))


def _fill(root: Path, packages: Sequence[str]) -> None:
    programs = root / "usr/local/bin"
    programs.mkdir(parents=True)
    shutil.copy(Path(sys.base_prefix, "bin", _VERSION), programs / _VERSION)
    for alias in ("python3", "python"):
        (programs / alias).symlink_to(_VERSION)
    shutil.copytree(Path(os.__file__).parent, root / _HOME, ignore=_UNWANTED)
    for package in _needed(packages):
        _copy(package, root / _HOME / "site-packages")
    (root / "bin").mkdir()
    shutil.copy("/bin/dash", root / "bin/sh")
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / _CERTIFICATES).parent.mkdir(parents=True)
    shutil.copy(ssl.get_default_verify_paths().cafile or f"/{_CERTIFICATES}", root / _CERTIFICATES)
    (root / "tmp").mkdir()
    _add_libraries(root)


def _needed(packages: Sequence[str]) -> tuple[Distribution, ...]:
    """Find the installed distributions that the packages need, themselves included, by name."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(package) for package in packages]
    done: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in done:
            continue
        done.add(str(wanted))
        try:
            found[wanted.name] = distribution(wanted.name)
        except PackageNotFoundError as error:
            raise Invalid(f"the base image wants {wanted}, which is not installed here", "install it") from error
        extras = wanted.extras or {""}
        for need in map(Requirement, found[wanted.name].requires or ()):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(need)
    return tuple(found[name] for name in sorted(found))


def _copy(package: Distribution, into: Path) -> None:
    for file in package.files or ():
        if ".." in file.parts or "__pycache__" in file.parts or file.name in ("RECORD", "INSTALLER", "direct_url.json"):
            continue  # scripts name the interpreter of the environment they came from; the rest differs by installer
        (into / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file.locate()), into / file)


def _add_libraries(root: Path) -> None:
    """Copy what the loader finds for every program and extension, to a place where the image's loader looks."""
    binaries = [root / "usr/local/bin" / _VERSION, root / "bin/sh", *sorted(root.rglob("*.so*"))]
    listed = subprocess.run(
        ["ldd", *map(str, binaries)], capture_output=True, text=True, timeout=120, check=False, env={"LC_ALL": "C"}
    )
    words = {word for line in listed.stdout.splitlines() if not line.endswith(":") for word in line.split()}
    for library in sorted(word for word in words if word.startswith("/") and not word.startswith(str(root))):
        searched = library.startswith(("/lib", "/usr/lib"))
        place = root / (library.lstrip("/") if searched else f"usr/lib/{Path(library).name}")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library, place)
        place.chmod(0o755)


def _fingerprint(root: Path) -> str:
    """Hash names and contents before compilation, together with this recipe."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in _sorted(root):
        digest.update(f"{path.relative_to(root)}\0".encode())
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _compile(root: Path) -> None:
    """Compile in a fresh interpreter, one process: the same sources then give the same bytes.

    Without it every replica would compile for itself at each start: 0.8 s of CPU (measured with starlette, uvicorn).
    """
    options = ["-q", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/"]
    command = [sys.executable, "-I", "-m", "compileall", *options, str(root / _HOME)]
    subprocess.run(command, timeout=300, check=False)  # a source of a later Python may not compile; that is harmless


def _tar(root: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in _sorted(root):
            tar.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=_plain)
    return packed.getvalue()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    if entry.name == "tmp":
        entry.mode = 0o1777
    return entry


def _sorted(root: Path) -> Iterator[Path]:
    yield from sorted(root.rglob("*"))
