"""What a proof says, as a person reads it: on the command line, on a run's page, and at the gate."""

from collections.abc import Iterator

from domain.schema.proof import Proven
from domain.schema.rehearsal import Cost

TIERS = {
    0: "there is nothing to take back",
    1: "the old version runs on the new schema, which stays",
    2: "the old version runs on the new schema, and the schema can go back, too",
}


def costs_words(cost: Cost) -> str:
    """Say what one step does to the database: `0.02 s on the copy; 0.1 MB of log; EXCLUSIVE on orders`."""
    said = [f"{lock.mode} on {lock.relation}" for lock in cost.locks]
    said += [f"writes {table} anew" for table in cost.rewritten]
    said += [f"{cost.batches} batches"] if cost.batches else []
    return "; ".join([f"{cost.seconds:.2f} s on the copy", f"{cost.wal_bytes / 1e6:.1f} MB of log", *said])


def markdown(environment: str, proven: Proven) -> str:
    """Render a proof for the Prefect page."""
    return "\n".join(_lines(environment, proven)) + "\n"


def _lines(environment: str, proven: Proven) -> Iterator[str]:
    yield f"## Way back of the schema in {environment}: proven"
    yield ""
    yield f"Walked on a copy of the database in {proven.seconds:.1f} s: {TIERS[proven.tier]}."
    yield ""
    yield "| step | on its way up |"
    yield "|---|---|"
    for label, cost in proven.costs.items():
        yield f"| {label} | {costs_words(cost)} |"
    yield ""
    for name in proven.unvalidated:
        yield f"- Not validated, so that old rows may break it: {name}"
    if proven.unvalidated:
        yield ""
    if proven.announced:
        yield from ("What its own tool says that it will do:", "", "~~~", proven.announced.rstrip(), "~~~", "")
    yield f"The whole proof is in the store under `{proven.evidence}`."
