"""Walk the way back of what serves, on a copy of today's data, while nobody needs it."""

from domain.ports import Clock, Database, Store
from domain.schema.proof import Proven
from domain.schema.rehearsal import WayBack
from tasks.operate import NO_TOOLS, Tools
from tasks.prove import keep, on_a_copy
from tasks.step import Warrant, step


@step(Proven, timeout=3600)
def drill(
    warrant: Warrant, way: WayBack, database: Database, store: Store, clock: Clock, tools: Tools = NO_TOOLS
) -> Proven:
    """Take the steps back that are applied, and rehearse from there; the whole proof goes into the store.

    Where not every step has a down script, or where a tool took them, the schema stays, and the old version must work
    on it as it is. Raises Rejected with every reason why the way back does not hold any more.
    """
    back = way.whole and tools == NO_TOOLS
    stays = WayBack(steps=(), old=way.old, new=way.new)
    proof = on_a_copy(database, way if back else stays, clock.now(), applied=back, tools=tools)
    return keep(warrant, proof, "drill", store)
