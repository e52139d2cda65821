"""A copy of a database without what is private in it: where it comes from, where it goes, by which policy."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from domain.value import Name, Seconds, Value

Reference = Annotated[
    str, Field(pattern=r"^secret://[a-z0-9-]+/\S+$", description="a secret://… reference, never a value")
]


class Copy(Value):
    """One copy, as `copies/NAME.yaml` declares it."""

    name: Name
    source: Reference = Field(alias="from", description="reference to the URL of the database that is copied")
    into: Reference = Field(description="reference to the URL of the copy; no database that releases migrate")
    policy: str = Field(min_length=1, description="file with the masking policy, inside the config folder")
    fresh: Seconds = Field(default=2 * 86_400.0, gt=0, description="older than this, the copy is stale")

    @model_validator(mode="after")
    def _two_databases(self) -> Self:
        if self.source == self.into:
            raise ValueError("into: is the same database as `from`; a copy goes somewhere else")
        return self
