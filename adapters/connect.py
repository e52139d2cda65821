"""Connect one service to the products that the settings name: the one place that knows concrete classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.apprise import Apprise
from adapters.docker import Docker
from adapters.docker_engine import Engine
from adapters.folder import Folder
from adapters.git import Git
from adapters.haproxy import HAProxy
from adapters.http import HttpProbe
from adapters.measured import Measured
from adapters.notice_folder import NoticeFolder
from adapters.postgres import Postgres
from adapters.postgres_copyist import PostgresCopyist
from adapters.registry import OCIRegistry
from adapters.s3 import S3
from adapters.sealed import Sealed
from adapters.secrets import References, install_redaction
from adapters.system_clock import SystemClock
from config.catalog import Catalog
from config.load import catalog, load
from config.read import read
from config.settings import AppriseNotices, FolderNotices, FolderStore, S3Store, Settings
from domain.data.copy import Copy
from domain.data.policy import Policy
from domain.environment.profile import Environment
from domain.errors import Invalid
from domain.policy.people import People
from domain.ports import Copyist, Journal, Leases, Notices, Ports, Post, Secrets, Store
from domain.release import standing
from domain.release.service import Service
from ledger.journal import SqlJournal
from ledger.lease import SqlLeases
from ledger.open import open_ledger
from ledger.outbox import Outbox


@dataclass(frozen=True)
class House:
    """What every command and flow needs, whatever the service: settings, catalog and ledger."""

    settings: Settings
    catalog: Catalog
    secrets: References
    journal: Journal
    leases: Leases
    post: Post

    @property
    def environments(self) -> Mapping[str, Environment]:
        """List every environment by name."""
        return self.catalog.environments

    @property
    def people(self) -> People:
        """Name everyone who may decide."""
        return self.catalog.people


@dataclass(frozen=True)
class Desk(House):
    """A house with one service on the desk, connected to everything it touches."""

    service: Service
    ports: Ports

    def commit_serving(self, environment: str) -> str | None:
        """Tell which commit serves in an environment by the journal; None when nothing does."""
        entries = self.journal.entries(service=self.service.name, environment=environment, kinds=("now serving",))
        serving = standing.fold(entries).serving
        return serving.commit if serving else None


def open_house(settings: Settings | None = None) -> House:
    """Load settings and catalog, open the ledger. Raises Invalid with every problem, Unavailable without a ledger."""
    settings = settings or load()
    known = catalog(settings)
    aws = settings.secrets.aws
    secrets = References(settings.secrets.folder, aws)
    install_redaction()
    url = settings.ledger.url
    ledger = open_ledger(secrets.resolve(url) if url.startswith("secret://") else url)
    return House(settings, known, secrets, SqlJournal(ledger), SqlLeases(ledger), Outbox(ledger))


def connect(service: str, house: House | None = None) -> Desk:
    """Connect a service. Raises Invalid for an unknown one; no product is spoken to yet, except the ledger."""
    house = house or open_house()
    settings, spec = house.settings, house.catalog.service(service)
    docker = Docker(settings.engine.host, settings.stack, house.secrets)
    measured = Measured(spec, docker, Engine(settings.engine.host), house.secrets)
    ports = Ports(
        clock=SystemClock(),
        source=Git(_repository(spec, settings), settings.sources / ".mirrors"),
        builder=docker,
        registry=OCIRegistry(settings.registry.url),
        workload=docker,
        probe=HttpProbe(),
        router=HAProxy(
            settings.router.folder, settings.router.bind, spec.runtime.drain, spec.runtime.ready_within, measured
        ),
        databases={
            name: Postgres(placement.database, house.secrets)
            for name, placement in spec.environments.items()
            if placement.database
        },
        store=_store(settings, house.secrets),
        notices=_notices(settings, house.secrets),
    )
    return Desk(
        settings, house.catalog, house.secrets, house.journal, house.leases, house.post, service=spec, ports=ports
    )


def copyist(wanted: Copy, settings: Settings, secrets: Secrets) -> Copyist:
    """Get ready to take a declared copy; raises Invalid with every problem of its policy."""
    problems: list[str] = []
    policy = read(settings.config / wanted.policy, wanted.policy, Policy, problems)
    if policy is None:
        raise Invalid.all(problems, f"copies/{wanted.name}.yaml names this file; docs/data.md shows every key")
    return PostgresCopyist(wanted, policy, secrets)


def store(house: House) -> Store:
    """Open the store alone."""
    return _store(house.settings, house.secrets)


def notices(house: House) -> Notices:
    """Open the channels to people alone."""
    return _notices(house.settings, house.secrets)


def _repository(service: Service, settings: Settings) -> str:
    named = service.source.repository
    local = settings.sources / named
    return str(local) if "://" not in named and not Path(named).is_absolute() and "@" not in named else named


def _store(settings: Settings, secrets: References) -> Store:
    plain, seal = _plain_store(settings, secrets), settings.store.seal
    return Sealed(plain, seal.recipients, seal.identity, secrets) if seal else plain


def _plain_store(settings: Settings, secrets: References) -> Store:
    match settings.store:
        case FolderStore(folder=folder):
            return Folder(folder)
        case S3Store() as s3:
            return S3(
                s3.bucket,
                prefix=s3.prefix,
                endpoint=s3.endpoint,
                region=s3.region,
                credentials=(s3.access_key, s3.secret_key),
                secrets=secrets,
            )


def _notices(settings: Settings, secrets: References) -> Notices:
    match settings.notices:
        case FolderNotices(folder=folder):
            return NoticeFolder(folder)
        case AppriseNotices(targets=targets):
            return Apprise({str(group): urls for group, urls in targets.items()}, secrets)
