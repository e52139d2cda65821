"""Whether a policy fits a database: deny by default, and everything that is wrong is said at once."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from domain.data.policy import Policy
from domain.data.pseudonym import CARD, ENDINGS, ONSETS, PHONE, bounds_of
from domain.data.rule import (
    ENOUGH,
    Card,
    Choice,
    Constant,
    Email,
    Keep,
    Null,
    Number,
    PersonName,
    Phone,
    Rule,
    Shift,
    Text,
    Uuid,
)
from domain.data.shape import MINE, Column, ForeignKey, Shape, Table
from domain.data.subset import severed
from domain.data.synthetic import unmade

_FITS = {
    "email": {"text"}, "name": {"text"}, "phone": {"text"}, "card": {"text", "numeric"}, "text": {"text"},
    "uuid": {"text", "uuid"}, "number": {"integer", "numeric"}, "choice": {"text", "enum"},
    "shift": {"date"}, "truncate": {"date"},
}  # fmt: skip
_WORD = max(map(len, ONSETS)) + max(map(len, ENDINGS))


def problems(policy: Policy, shape: Shape) -> tuple[str, ...]:
    """List why nothing may be copied, as `table.column: what`; empty when all is well."""
    said = [f"{name}: a foreign server's tables and passwords would come along" for name in shape.foreign]
    said += _names(policy, shape)
    for name, table in shape.tables.items():
        if name not in policy.tables:
            columns = ", ".join(column.name for column in table.written)
            said.append(f"{name}: not classified; say `rows: none`, or a rule for each of: {columns}")
        else:
            said += _table(policy, table)
    for key in shape.references():
        said += _reference(policy, shape, key)
    return tuple(said)


def injective(rule: Rule, column: Column) -> bool:
    """Tell whether different values stay different, for certain or but for a chance of 2⁻⁶⁴ a pair."""
    match rule:
        case Keep() | Uuid():
            return True
        case Email(bits=bits) | Text(bits=bits):
            return bits >= ENOUGH
        case Number():
            return bounds_of(rule, column.base) is None
    return False


def _names(policy: Policy, shape: Shape) -> Iterator[str]:
    for name, part in policy.tables.items():
        if name in MINE:
            yield f"{name}: Interlock's own table; leave it out"
        elif name not in shape.tables:
            yield f"{name}: there is no such table{_near(name, shape.tables)}"
        for other in sorted(policy.followed(name)):
            keys = shape.tables[name].keys if name in shape.tables else ()
            if other not in {key.target for key in keys}:
                yield f"{name}: follow: it does not refer to {other}"
            elif not policy.table(other).copied:
                yield f"{name}: follow: no rows of {other} are copied"
        if part.takes == "some" and not part.columns:
            yield f"{name}: its rows are chosen, but no column has a rule"
    for place in policy.scan.accept:
        table, _, column = place.rpartition(".")
        known = shape.tables.get(table)
        if known is None or known.column(column) is None:
            yield f"scan.accept: there is no column {place}"


def _table(policy: Policy, table: Table) -> Iterator[str]:
    part = policy.table(table.name)
    for name in part.columns:
        if (column := table.column(name)) is None:
            yield f"{table.name}.{name}: there is no such column{_near(name, (c.name for c in table.columns))}"
        elif column.computed:
            yield f"{table.name}.{name}: computed from other columns; leave it out"
    for column in table.written:
        rule = part.columns.get(column.name)
        if part.copied and rule is None:
            yield f"{table.name}.{column.name}: not classified"
        elif rule is not None and part.takes != "none":
            yield from (f"{table.name}.{column.name}: {said}" for said in _fit(rule, column, table))
    if part.copied:
        yield from _unique(policy, table)
    if part.synthetic:
        keyed = {column for key in table.keys for column in key.columns}
        free = (column for column in table.written if column.name not in keyed | part.columns.keys())
        yield from (f"{table.name}.{column.name}: {why}" for column in free if (why := unmade(column)))


def _fit(rule: Rule, column: Column, table: Table) -> Iterator[str]:
    """Say why a column cannot hold what its rule makes."""
    allowed = _FITS.get(rule.kind)
    card = isinstance(rule, Card) and column.base == "int8"
    if allowed is not None and column.family not in allowed and not card:
        yield f"{rule.kind} does not fit {column.type}; it is for {' and '.join(sorted(allowed))}"
    elif column.limit is not None and (length := _length(rule)) > column.limit:
        shorter = "; fewer bits are shorter" if isinstance(rule, Email | Text) else ""
        yield f"{rule.kind} is up to {length} characters long, and {column.type} holds {column.limit}{shorter}"
    match rule:
        case Null() if not column.nullable:
            yield "null does not fit: the column is NOT NULL"
        case Number(at_most=None) if column.family == "numeric":
            yield f"number needs at_least and at_most for {column.type}"
        case Choice(values=values) if column.family == "enum" and (odd := sorted(set(values) - set(column.labels))):
            yield f"choice: {', '.join(odd)}: not among the labels of {column.type}"
        case Shift(by=str(by)) if table.column(by) is None:
            yield f"shift: by: {table.name} has no column {by}"


def _length(rule: Rule) -> int:
    length = 0
    match rule:
        case Email(bits=bits, at=at):
            length = 2 + bits // 4 + len(at)
        case Text(bits=bits, prefix=prefix):
            length = len(prefix) + bits // 4
        case PersonName(form=form):
            length = 2 * _WORD + 1 if form == "full" else _WORD
        case Phone():
            length = len(PHONE) + 12
        case Card():
            length = len(CARD) + 10
        case Uuid():
            length = 36
        case Choice(values=values):
            length = max(map(len, values))
        case Constant(value=str(value)):
            length = len(value)
    return length


def _unique(policy: Policy, table: Table) -> Iterator[str]:
    """Say which unique index could be violated: what keeps values apart must cover one that is unique by itself."""
    rules = {column.name: policy.rule(table.name, column.name) for column in table.columns}
    apart = {column.name for column in table.columns if injective(rules[column.name], column)}
    whole = [set(unique) for unique in table.uniques if set(unique) <= apart]
    for unique in table.uniques:
        loose = [name for name in unique if name not in apart]
        empty = any(isinstance(rules[name], Null) for name in loose)  # NULLs differ from each other
        if loose and not empty and not any(other <= set(unique) for other in whole):
            named = ", ".join(f"{name} ({rules[name].kind})" for name in loose)
            yield (
                f"{table.name}: ({', '.join(unique)}) is unique, and {named} would make values equal; "
                f"use keep, or email, text, uuid or a bigint's number with {ENOUGH} bits or more"
            )


def _reference(policy: Policy, shape: Shape, key: ForeignKey) -> Iterator[str]:
    """Say why a foreign key would not hold in the copy."""
    child, parent = policy.table(key.table), policy.table(key.target)
    if child.takes == "none" or severed(policy, key):
        return
    optional = any(c.nullable for c in shape.tables[key.table].columns if c.name in key.columns)
    if parent.takes == "none" and not (child.takes == "synthetic" and optional):
        yield f"{key.says}: {key.target} has no rows in the copy; mask the reference with null, or copy it"
    elif child.copied and parent.takes == "synthetic":
        yield f"{key.says}: rows of the source cannot refer to synthetic ones; mask the reference with null"
    elif child.takes == "synthetic" and not optional and key.target == key.table:
        yield f"{key.says}: synthetic rows cannot refer to their own table, and the reference is NOT NULL"
    elif child.copied and parent.copied:
        for here, there in zip(key.columns, key.target_columns, strict=True):
            if _outcome(policy, shape, key.table, here) != _outcome(policy, shape, key.target, there):
                yield f"{key.table}.{here}: refers to {key.target}.{there}, so both need the same rule and domain"


def _outcome(policy: Policy, shape: Shape, table: str, name: str) -> object:
    """Give what decides into what a value turns: equal outcomes, equal results."""
    rule, column = policy.rule(table, name), shape.tables[table].column(name)
    if isinstance(rule, Shift) and rule.by:
        return (rule, table)  # moved by another column of its own table
    return (rule, bounds_of(rule, column.base) if isinstance(rule, Number) and column else None)


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
