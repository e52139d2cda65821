"""What happens to one column on its way into a copy.

A pseudonym is made from HMAC-SHA256 over `domain/value`: the same value in the same domain becomes the same pseudonym
wherever it stands, so joins are kept; without the key nobody can tell which value it was, or try one. Left out, the
domain is the kind's own name: all e-mail addresses are in one.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from domain.value import Name, Value

ENOUGH = 64  # bits: among ten million values two are equal with a chance of 3 in a million

Bits = Annotated[int, Field(ge=16, le=256, multiple_of=4, description="how much of the hash is shown, 4 bits a digit")]


class Keep(Value):
    """As it is."""

    kind: Literal["keep"] = "keep"


class Null(Value):
    """NULL."""

    kind: Literal["null"] = "null"


class Constant(Value):
    """The same for every row."""

    kind: Literal["constant"] = "constant"
    value: str | int | float | bool


class Email(Value):
    """An address in a domain that RFC 2606 reserves: it looks valid, and reaches nobody."""

    kind: Literal["email"] = "email"
    domain: Name = "email"
    bits: Bits = ENOUGH
    at: str = Field(
        default="example.com",
        pattern=r"^(example\.(com|net|org)|([a-z0-9-]+\.)+(example|invalid|test))$",
        description="example.com, .net or .org, or a name that ends in .example, .invalid or .test",
    )


class PersonName(Value):
    """An invented name out of 256 given and 256 family names: not for unique columns."""

    kind: Literal["name"] = "name"
    domain: Name = "name"
    form: Literal["full", "given", "family"] = "full"


class Phone(Value):
    """+999 and twelve digits: a country code that is assigned to nobody, so it cannot ring."""

    kind: Literal["phone"] = "phone"
    domain: Name = "phone"


class Card(Value):
    """Sixteen digits that start with 999999, which no card network issues.

    The check digit is wrong on purpose, because every real card number passes Luhn's check; `luhn: passes` is for
    applications that refuse such numbers, and then the range alone says that it is no card.
    """

    kind: Literal["card"] = "card"
    domain: Name = "card"
    luhn: Literal["fails", "passes"] = "fails"


class Text(Value):
    """Hexadecimal digits after a prefix."""

    kind: Literal["text"] = "text"
    domain: Name = "text"
    bits: Bits = ENOUGH
    prefix: str = Field(default="", max_length=40)


class Uuid(Value):
    """A UUID."""

    kind: Literal["uuid"] = "uuid"
    domain: Name = "uuid"


class Number(Value):
    """A whole number; without bounds a bigint may be anything, an integer is 1 … 2³⁰, a smallint 1 … 2¹⁴."""

    kind: Literal["number"] = "number"
    domain: Name = "number"
    at_least: int | None = None
    at_most: int | None = None

    @model_validator(mode="after")
    def _range(self) -> "Number":
        if (self.at_least is None) != (self.at_most is None):
            raise ValueError("give both at_least and at_most, or neither")
        if self.at_least is not None and self.at_most is not None and not 0 < self.at_most - self.at_least < 2**59:
            raise ValueError("at_most must be above at_least, by less than 2^59")
        return self


class Shift(Value):
    """A date moved by up to `days` in either direction: by a column, all dates of one person move together."""

    kind: Literal["shift"] = "shift"
    domain: Name = "shift"
    days: int = Field(default=30, ge=1, le=36500)
    by: str | None = Field(default=None, description="a column of the same row, such as customer_id; none: the date")


class Truncate(Value):
    """The first moment of a date's month, quarter or year."""

    kind: Literal["truncate"] = "truncate"
    to: Literal["month", "quarter", "year"]


class Choice(Value):
    """One of these values, the same for the same."""

    kind: Literal["choice"] = "choice"
    domain: Name = "choice"
    values: tuple[str, ...] = Field(min_length=1, max_length=1000)


Pseudonym = Email | PersonName | Phone | Card | Text | Uuid | Number | Choice


def _short(rule: Any) -> Any:
    """Read `email` as `{kind: email}`, and YAML's null as the rule of that name."""
    if rule is None:
        return {"kind": "null"}
    return {"kind": rule} if isinstance(rule, str) else rule


Rule = Annotated[
    Annotated[
        Keep | Null | Constant | Pseudonym | Shift | Truncate,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_short),
]
