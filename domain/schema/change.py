"""What one statement of a migration does: to the schema, to the rows, and to those who use both meanwhile."""

from typing import Literal

from pydantic import Field

from domain.value import Value

Kind = Literal["expand", "migrate", "contract", "data", "opaque"]
Mode = Literal[
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
]
MODES: tuple[Mode, ...] = Mode.__args__  # type: ignore[attr-defined]  # weakest first, as LOCK TABLE numbers them from 1
STRONG = frozenset(MODES[4:])  # they keep writers out; the last one readers, too


class Lock(Value):
    """A lock that is held until the transaction ends; modes are those of PostgreSQL's `Explicit Locking`."""

    relation: str
    mode: Mode

    @property
    def strong(self) -> bool:
        """Tell whether writers wait behind it."""
        return self.mode in STRONG


class Touch(Value):
    """What readers may miss afterwards: a column, or with no column a relation; `sales.*` is a whole schema."""

    relation: str
    column: str | None = None


class Change(Value):
    """One change; an ALTER TABLE may make several."""

    what: str = Field(description="in a few words, such as `add column orders.note`")
    kind: Kind = Field(
        description="expand: all that worked still works; migrate: nobody sees a difference; "
        "contract: what worked may fail; data: rows are written; opaque: it cannot be told"
    )
    on: str = Field(default="", description="the relation that is changed; empty: none that the text names")
    locks: tuple[Lock, ...] = ()
    lossy: bool = Field(default=False, description="a down script alone cannot bring back what was there")
    rewrites: bool = Field(default=False, description="every row of the table is, or may be, written anew")
    slow: bool = Field(default=False, description="takes longer the more rows there are")
    transactional: bool = Field(default=True, description="False: PostgreSQL refuses it inside a transaction")
    touches: tuple[Touch, ...] = ()
    columns: tuple[str, ...] = Field(default=(), description="columns that a new constraint reads")
    undone_by: str = Field(default="", description="what its way back must do; a prefix when it ends in a dot or space")
    hazards: tuple[str, ...] = Field(default=(), description="rules of the lint that this change breaks")
    statement: int = Field(default=0, description="its number in the script, from 1")
    line: int = 0

    @property
    def says(self) -> str:
        """Say it in one line: `add column orders.note: expand; ACCESS EXCLUSIVE on orders`."""
        facts = {
            "rewrites the table": self.rewrites,
            "takes longer the more rows there are": self.slow and not self.rewrites,
            "loses data": self.lossy,
            "not in a transaction": not self.transactional,
        }
        said = [f"{lock.mode} on {lock.relation}" for lock in self.locks]
        return "; ".join([f"{self.what}: {self.kind}", *said, *(words for words, true in facts.items() if true)])

    @property
    def adds(self) -> bool:
        """Tell whether it brings something that only a newer version can want; an index is no such thing."""
        new = self.what.startswith(("add ", "create ")) and not self.what.startswith("create index")
        return self.kind == "expand" and new


def lock(mode: Mode, *relations: str) -> tuple[Lock, ...]:
    """Take one mode on each relation."""
    return tuple(Lock(relation=relation, mode=mode) for relation in dict.fromkeys(relations))
