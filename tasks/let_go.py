"""Let go of backups that nothing needs; each is a fact in the journal before it is removed."""

from uuid import uuid4

from domain.facts import BackupLetGo
from domain.lease import Lease
from domain.release.retention import Keep, Ruling, holds
from tasks.find_backups import Desk, find_backups

_TTL = 60.0  # seconds; renewed while objects are removed
_NOBODY = "prune"  # in place of a release, as the owner of the lease


def let_go(desk: Desk, keep: Keep, environment: str, actor: str = "interlock") -> tuple[Ruling, ...]:
    """Remove what `find_backups` lets go of in one environment; return what went. Safe to call twice, and at any time.

    The environment's lease is held meanwhile, and everything is looked at again under it: nobody can begin there what
    needs a backup. Without anything to remove no lease is taken. Raises Conflict when somebody else holds it.
    """
    if not _may_go(desk, keep, environment):
        return ()
    me = f"{_NOBODY}/{actor}/{uuid4().hex[:6]}"
    lease = desk.leases.take(desk.service.name, environment, me, "letting go of backups", _TTL)
    try:
        with desk.leases.keep_alive(lease, _TTL):
            return tuple(it for it in _may_go(desk, keep, environment, me) if _remove(desk, it, lease, actor))
    finally:
        desk.leases.give_back(lease)


def _may_go(desk: Desk, keep: Keep, environment: str, besides: str = "") -> list[Ruling]:
    return [it for it in find_backups(desk, keep, besides) if not it.keep and it.backup.environment == environment]


def _remove(desk: Desk, ruling: Ruling, lease: Lease, actor: str) -> bool:
    """Write down that a backup goes, then remove it; False when somebody has held it in the last moment.

    The manifest goes first, as it came last: of a removal that breaks off a dump is left that nobody calls a backup.
    The other way round a manifest would promise a dump, restored and compared, that is not there.
    """
    it = ruling.backup
    desk.journal.append(
        BackupLetGo(key=it.key, objects=it.objects, reason=ruling.says),
        actor=actor,
        release=it.release,
        service=it.service,
        environment=it.environment,
        token=lease.token,
    )
    if it.key in holds(desk.journal.entries(release=it.release, kinds=("backup held", "backup freed"))):
        return False
    for key in it.objects:
        desk.ports.store.remove(key)
    return True
