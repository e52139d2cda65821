"""PostgreSQL's own grammar: the one file that knows the parser."""

from typing import Any, NamedTuple

Tree = dict[str, Any]


class Statement(NamedTuple):
    """One statement: the name of its node in PostgreSQL's parse tree, what is in it, and its lines, from 1."""

    node: str
    body: Tree
    line: int
    end: int


class Fault(NamedTuple):
    """Where a script stops being SQL, and what the parser says."""

    line: int
    says: str


def parse(script: str) -> tuple[Statement, ...] | Fault:
    """Read a script as PostgreSQL 18 does; nothing is looked up, so names need not exist."""
    import postgast  # noqa: PLC0415  # a third of a second, and every command imports the plan's module

    raw = script.encode()
    if b"\x00" in raw:
        return Fault(_line(raw, raw.index(b"\x00")), "a NUL byte")
    try:
        pieces = [piece.encode() for piece in postgast.split(script)]
    except postgast.PgQueryError as error:
        return Fault(_line(raw, max(error.cursorpos - 1, 0)), error.message)
    found, at = [], 0
    for piece in pieces:  # without the comments and blanks before it
        at = raw.index(piece, at)
        first, at = _line(raw, at), at + len(piece)
        found.append(Statement(*_tree(piece), first, _line(raw, at)))
    return tuple(found)


def _tree(statement: bytes) -> tuple[str, Tree]:
    """Give a statement's node by name; one that is nested deeper than protobuf goes (100 levels) has no tree."""
    import postgast  # noqa: PLC0415  # as above
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415  # as above
    from google.protobuf.message import DecodeError  # noqa: PLC0415  # as above

    try:
        [found] = postgast.parse(statement.decode()).stmts
    except DecodeError:
        return "deeply_nested_stmt", {}
    [(node, body)] = MessageToDict(found.stmt, preserving_proto_field_name=True).items()
    return node, body


def _line(raw: bytes, at: int) -> int:
    return raw.count(b"\n", 0, at) + 1


def inside(tree: Any, node: str) -> list[Tree]:
    """Find every node of a name, however deep."""
    if isinstance(tree, dict):
        here = [tree[node]] if isinstance(tree.get(node), dict) else []
        return here + [found for value in tree.values() for found in inside(value, node)]
    return [found for value in tree for found in inside(value, node)] if isinstance(tree, list) else []


def relation(found: Tree) -> str:
    """Name a relation as people do: `orders`, `sales.orders`; the schema `public` is left out."""
    return _joined([found.get("schemaname", ""), found["relname"]])


def named(parts: Any) -> str:
    """Name what the tree spells part by part, such as a function or the object of a DROP or COMMENT."""
    match parts:
        case {"list": {"items": list(items)}} | {"type_name": {"names": list(items)}}:
            return named(items)
        case {"object_with_args": {"objname": list(items)}}:
            return named(items)
        case {"string": {"sval": str(word)}}:
            return word
        case [*items]:
            return _joined([named(item) for item in items])
    return "?"


def _joined(parts: list[str]) -> str:
    known = [part for part in parts if part]
    return ".".join(known[1:] if known[:1] == ["public"] and len(known) > 1 else known)
