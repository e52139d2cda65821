"""Who may decide: names, roles and the keys they sign with."""

from pydantic import Field

from domain.value import Name, Value


class Person(Value):
    """Someone who may ask for, approve or roll back a release."""

    name: Name
    email: str = Field(description="as in their commits: an author never approves their own change")
    roles: tuple[Name, ...] = ()
    keys: tuple[str, ...] = Field(default=(), description="SSH public keys, one per line as in authorized_keys")


class People(Value):
    """Everyone, by name."""

    people: tuple[Person, ...] = ()

    def named(self, name: str) -> Person | None:
        """Find a person by name or e-mail."""
        return next((p for p in self.people if name in (p.name, p.email)), None)
