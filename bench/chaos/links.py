"""The connections between the parts of a stack, each under a port of its own, so that one alone can be cut.

The kernel redirects the port of a link to the product behind it (iptables, in the network of the campaign's own
machine). No program stands in between: a hole swallows packets as a broken switch does, so that TCP's own time-outs are
what ends it, and a reset is the kernel's. A proxy in user space could do neither, because its kernel would go on
acknowledging.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Cut = Literal["hole", "reset"]
_VERDICT: dict[Cut, tuple[str, ...]] = {
    "hole": ("-j", "DROP"),
    # A reset passes by the same rules, and must get through.
    "reset": ("-m", "tcp", "!", "--tcp-flags", "RST", "RST", "-j", "REJECT", "--reject-with", "tcp-reset"),
}


@dataclass(frozen=True)
class Link:
    """One connection: who asks for `port` of `host` gets `real` there; `host` empty: any, as containers do."""

    name: str
    port: int
    real: int
    host: str = "127.0.0.1"
    chain: str = "OUTPUT"

    def redirect(self) -> tuple[str, ...]:
        """Word the rule that leads to the product."""
        target = ("DNAT", "--to-destination", f"{self.host}:{self.real}")
        return ("-t", "nat", "-A", self.chain, "-p", "tcp", "-d", self.host, "--dport", str(self.port), "-j", *target)

    def cuts(self, how: Cut) -> Iterator[tuple[str, ...]]:
        """Word the rules that cut it, in both directions and for connections that are open already."""
        for chain in ("INPUT", "OUTPUT"):
            known = ("-m", "conntrack", "--ctorigdstport", str(self.port))
            yield (chain, "-p", "tcp", *known, *_VERDICT[how])


@contextmanager
def cut(link: Link, how: Cut) -> Iterator[None]:
    """Cut a link while the block runs."""
    rules = list(link.cuts(how))
    try:
        for rule in rules:
            iptables("-I", *rule)
        yield
    finally:
        for rule in rules:
            iptables("-D", *rule)


def lead(links: Sequence[Link]) -> None:
    """Redirect every link; those redirected before are redirected anew."""
    for link in links:
        rule = link.redirect()
        there = subprocess.run(["iptables", "-w", *_checking(rule)], capture_output=True, timeout=30, check=False)
        if there.returncode:
            iptables(*rule)


def _checking(rule: Sequence[str]) -> list[str]:
    return ["-C" if word == "-A" else word for word in rule]


def iptables(*words: str) -> None:
    """Change the packet filter of the machine we are in."""
    subprocess.run(["iptables", "-w", *words], check=True, capture_output=True, timeout=30)
