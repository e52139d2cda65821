"""Which rows and columns a copy holds, and what becomes of each: nothing that is not named here is copied."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from domain.canonical import sha256
from domain.data.rule import Keep, Rule
from domain.value import Value

Rows = Literal["all", "needed", "none", "some", "synthetic"]


class TablePolicy(Value):
    """What becomes of one table."""

    rows: Literal["all", "needed", "none"] | None = Field(
        default=None, description="needed: only what other rows refer to; left out: all, or what the keys below pick"
    )
    where: str | None = Field(default=None, min_length=1, description="SQL: the rows with which a subset begins")
    follow: tuple[str, ...] = Field(default=(), description="tables referred to: their chosen rows bring these along")
    synthetic: int | None = Field(default=None, ge=1, description="so many invented rows, none of the real ones")
    columns: dict[str, Rule] = {}

    @model_validator(mode="after")
    def _one_way(self) -> "TablePolicy":
        given = {"rows": self.rows, "where or follow": self.where or self.follow, "synthetic": self.synthetic}
        if len(said := [key for key, value in given.items() if value]) > 1:
            raise ValueError(f"{' and '.join(said)} exclude each other")
        return self

    @property
    def takes(self) -> Rows:
        """Say where its rows come from."""
        if self.synthetic:
            return "synthetic"
        return "some" if self.where or self.follow else self.rows or "all"

    @property
    def copied(self) -> bool:
        """Tell whether rows of the source come along."""
        return self.takes in ("all", "needed", "some")


def _full(name: str, dots: int = 1) -> str:
    return name if name.count(".") >= dots else f"public.{name}"


def _in_full(named: Any, dots: int = 1) -> Any:
    """Write `orders` as `public.orders`."""
    if not isinstance(named, dict):
        return named
    full = [_full(str(name), dots) for name in named]
    if twice := sorted({name for name in full if full.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)}: given twice, with and without its schema")
    return dict(zip(full, named.values(), strict=True))


def _columns_in_full(named: Any) -> Any:
    """Write `orders.note` as `public.orders.note`."""
    return _in_full(named, dots=2)


class Scan(Value):
    """How the copy is searched for what must not be in it."""

    sample: int = Field(default=200, ge=1, le=100_000, description="values taken from each private column")
    shortest: int = Field(default=6, ge=6, description="bytes; shorter values are ordinary words")
    accept: Annotated[
        dict[str, str],
        Field(description="table.column: why what is found there is no harm"),
        BeforeValidator(_columns_in_full),
    ] = {}


class Policy(Value):
    """A masking policy, as its YAML file holds it."""

    key: str = Field(
        pattern=r"^secret://[a-z0-9-]+/\S+$", description="reference to the key of all pseudonyms, never the key"
    )
    seed: int = Field(
        default=1, description="of synthetic rows and of the search's sample: the same seed, the same ones"
    )
    scan: Scan = Scan()
    tables: Annotated[dict[str, TablePolicy], BeforeValidator(_in_full)]

    @property
    def hash(self) -> str:
        """Hash everything in it; 64 hex digits."""
        return sha256(self)

    def table(self, name: str) -> TablePolicy:
        """Find a table's part; a table that is not named has no rows."""
        return self.tables.get(name, TablePolicy(rows="none"))

    def rule(self, table: str, column: str) -> Rule:
        """Find a column's rule; what computes itself has none and is kept."""
        return self.table(table).columns.get(column, Keep())

    def followed(self, table: str) -> frozenset[str]:
        """Name in full the tables whose chosen rows bring rows of this one along."""
        return frozenset(map(_full, self.table(table).follow))
