"""Two replicas that count for Prometheus, a stand-in that answers as its API does, and the real one from Debian."""

import re
import subprocess
import time
from collections import defaultdict
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx

from adapters.memory.clock import MemoryClock
from adapters.memory.secrets import MemorySecrets
from adapters.polling import Asking, Polling
from adapters.prometheus import Prometheus
from domain.canary.roster import Roster
from domain.ports import Samples
from domain.release.measure import PrometheusSpec
from domain.release.route import Endpoint, Route
from tests.adapters.story import NEW, OLD, Counts, Json

LES = ("0.005", "0.05", "0.5", "+Inf")
Labels = frozenset[tuple[str, str]]


class Counting:
    """A replica's counters. A status is counted from the first request that has it, as client libraries do."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, Labels], float] = defaultdict(float)
        self.les = LES

    def add(self, requests: int, bad: int) -> None:
        """Count requests: good ones take 5 ms, bad ones 50."""
        for code, count in (("200", requests - bad), ("500", bad)):
            if count:
                self.series["http_requests_total", frozenset({("code", code)})] += count
        for le in self.les:
            upto = bad * (float(le) >= 0.05) + (requests - bad) * (float(le) >= 0.005)
            self.series["http_seconds_bucket", frozenset({("le", le)})] += upto
        self.series["orders_total", frozenset()] += requests - bad
        self.series["memory_bytes", frozenset()] = 1000.0 + requests

    def restart(self) -> None:
        self.series.clear()

    def text(self) -> str:
        said = ((name, ",".join(f'{k}="{v}"' for k, v in labels), n) for (name, labels), n in self.series.items())
        return "".join(f"{name}{{{labels}}} {count}\n" for name, labels, count in said)


SELECTORS = {
    "kind": "prometheus",
    "requests": "http_requests_total",
    "bad": 'http_requests_total{code="500"}',
    "latency": "http_seconds_bucket",
    "gauges": {"memory": "memory_bytes"},
    "kpi": {"orders": "orders_total"},
    "interval": 1.0,
}


class Scrapes:
    """Answers range selectors over samples that are taken whenever `up` is asked for, if the clock went on."""

    def __init__(self, **more: Any) -> None:
        self.clock = MemoryClock()
        self.replicas = {"10.0.0.1:8080": Counting(), "10.0.0.2:8080": Counting()}
        self.stored: dict[tuple[str, Labels], list[tuple[float, str]]] = defaultdict(list)
        self.down: set[str] = set()
        self.server = Json(self._answer)
        self.spec = PrometheusSpec.model_validate(SELECTORS | {"url": self.server.url} | more)
        old, new = (Endpoint(name=f"{n}-0", address=f"10.0.0.{i}", port=8080) for i, n in ((1, "old"), (2, "new")))
        self.roster = Roster(Route(name="shop-test", port=8080, blue=(old,), green=(new,)), "green")

    def listen(self) -> Polling:
        return Polling(Asking(Prometheus(self.spec, MemorySecrets({}), self.roster)), clock=self.clock)

    def say(self, counts: Counts) -> None:
        for place, instance in zip((OLD, NEW), self.replicas, strict=True):
            self.replicas[instance].add(*counts.get(place, (0, 0)))

    def silence(self, on: bool) -> None:
        self.server.silent = on

    def scrape(self) -> None:
        now = self.clock.now()
        for instance, replica in self.replicas.items():
            where = ("instance", instance)
            up = self.stored["up", frozenset({where})]
            if not up or up[-1][0] < now:
                up.append((now, "0" if instance in self.down else "1"))
                for (name, labels), value in replica.series.items() if instance not in self.down else ():
                    self.stored[name, labels | {where}].append((now, str(value)))

    def _answer(self, path: str, given: dict[str, str]) -> tuple[int, Any]:
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})?\[(\d+)s\]", given["query"])
        if path != "/api/v1/query" or not found:
            return 400, {
                "status": "error",
                "errorType": "bad_data",
                "error": "ranges only allowed for vector selectors",
            }
        if found[1] == "up":
            self.scrape()
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or "")).items()
        since = self.clock.now() - int(found[3])
        rows = [
            {"metric": {"__name__": name, **dict(labels)}, "values": [s for s in samples if s[0] > since]}
            for (name, labels), samples in self.stored.items()
            if name == found[1] and wanted <= dict(labels).items()
        ]
        return 200, {
            "status": "success",
            "data": {"resultType": "matrix", "result": [row for row in rows if row["values"]]},
        }


class RealPrometheus:
    """Debian's Prometheus, scraping two replicas of ours every second; `up` is at most that old."""

    def __init__(self, folder: Path, port: int) -> None:
        self.replicas = [Counting(), Counting()]
        self.pages = [Page(replica) for replica in self.replicas]
        old, new = (
            Endpoint(name=name, address="127.0.0.1", port=page.server_address[1])
            for name, page in zip(("old-0", "new-0"), self.pages, strict=True)
        )
        self.roster = Roster(Route(name="shop-test", port=8080, blue=(old,), green=(new,)), "green")
        self.url = f"http://127.0.0.1:{port}"
        targets = [f"127.0.0.1:{end.port}" for end in (old, new)]
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: {targets}}}]}}]\n"
        )
        where = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        self.child = subprocess.Popen(
            ["prometheus", *where, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        )

    def _know(self, query: str) -> float | None:
        try:
            said = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, trust_env=False).json()
            return float(said["data"]["result"][0]["value"][1])
        except (httpx.HTTPError, ValueError, LookupError):
            return None

    def listen(self, **more: Any) -> AbstractContextManager[Samples]:
        """Listen from when everything was scraped that was said so far."""
        give_up = time.monotonic() + 60
        while self._know("sum(up)") != 2 or self._know("sum(orders_total)") != sum(
            replica.series["orders_total", frozenset()] for replica in self.replicas
        ):
            assert time.monotonic() < give_up
            time.sleep(0.1)
        spec = PrometheusSpec.model_validate(SELECTORS | {"url": self.url} | more)
        return Polling(Asking(Prometheus(spec, MemorySecrets({}), self.roster)))

    def say(self, counts: Counts) -> None:
        for place, replica in zip((OLD, NEW), self.replicas, strict=True):
            replica.add(*counts.get(place, (0, 0)))

    def silence(self, on: bool) -> None:
        """It keeps answering; only the stand-in can be told not to."""

    def stop(self) -> None:
        self.child.terminate()
        self.child.wait()
        for page in self.pages:
            page.stop()


class Page(Json):
    """A replica's /metrics."""

    def __init__(self, replica: Counting) -> None:
        super().__init__(lambda _path, _given: (200, replica.text()))
