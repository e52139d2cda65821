"""What must be true of the rows, whatever version serves: declared by a service, asked around every migration."""

from typing import Annotated

from pydantic import AfterValidator, Field

from domain.schema.grammar import Fault, parse
from domain.value import Value

SHOWN = 3
"""Rows of a breach that are told; they go into proofs and messages, so that a query should select keys."""


class Breach(Value):
    """An invariant that rows break, or that could not be asked."""

    name: str
    rows: int = 0
    first: tuple[str, ...] = Field(default=(), description="what the query returned of the first rows")
    error: str | None = Field(default=None, description="why it could not be asked; what is not known does not hold")

    @property
    def says(self) -> str:
        """Say it in one line: `invariant paid is broken by 2 rows: (7), (9)`."""
        if self.error is not None:
            return f"invariant {self.name} could not be asked: {self.error}"
        count = f"{self.rows} row{'s' if self.rows > 1 else ''}"
        return f"invariant {self.name} is broken by {count}: {', '.join(self.first)}{', …' * (self.rows > SHOWN)}"


def question(text: str) -> str:
    """Take one SELECT that can be counted, without its semicolon. Raises ValueError when it is something else."""
    query = text.strip().rstrip(";").strip()
    found = parse(query)
    if isinstance(found, Fault):
        raise ValueError(f"line {found.line}: {found.says}")
    if [one.node for one in found] != ["select_stmt"] or {"into_clause", "locking_clause"} & found[0].body.keys():
        raise ValueError("should be one SELECT that returns the rows which break it, and changes nothing")
    if isinstance(parse(counted(query)), Fault):
        raise ValueError("should end without a semicolon or comment")
    return query


def counted(query: str) -> str:
    """Have PostgreSQL return the first rows of a query, each as one text, and beside it how many there are."""
    return f"select left(q::text, 80), count(*) over () from (\n{query}\n) q limit {SHOWN}"


Question = Annotated[str, AfterValidator(question), Field(description="a SELECT of the rows that break it")]
