"""DROP, RENAME, SET SCHEMA: what goes, or cannot be found under its name any more."""

from collections.abc import Callable, Iterator, Mapping

from domain.schema.change import Change, Mode, Touch, lock
from domain.schema.grammar import Tree, named, relation

_RELATIONS = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"}
_HELD_BY_A_TABLE = {"OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"}
_KEEPS_ROWS = {"OBJECT_TABLE", "OBJECT_SCHEMA", "OBJECT_SEQUENCE", "OBJECT_EXTENSION", "OBJECT_TYPE"}
_KEPT = "zz_dropped"  # what starts like this was put aside, not thrown away


def _word(kind: str) -> str:
    """Say what kind of thing the tree means: `OBJECT_MATVIEW` is a materialized view."""
    special = {
        "OBJECT_MATVIEW": "materialized view",
        "OBJECT_STATISTIC_EXT": "statistics",
        "OBJECT_TABCONSTRAINT": "constraint",
    }
    return special.get(kind, kind.removeprefix("OBJECT_").replace("_", " ").lower())


def _drop(body: Tree) -> Iterator[Change]:
    for found in body["objects"]:
        change = _gone(body["remove_type"], named(found), bool(body.get("concurrent")))
        cascade = body.get("behavior") == "DROP_CASCADE"
        yield change.model_copy(update={"lossy": True, "hazards": (*change.hazards, "cascade")}) if cascade else change


def _gone(kind: str, name: str, concurrent: bool) -> Change:
    what, back = f"drop {_word(kind)} {name}", f"create {_word(kind)} {name}"
    if kind == "OBJECT_INDEX":
        mode: Mode = "SHARE UPDATE EXCLUSIVE" if concurrent else "ACCESS EXCLUSIVE"
        hazards = () if concurrent else ("drop-index-blocks",)
        return Change(what=what, kind="migrate", locks=lock(mode, name), transactional=not concurrent, hazards=hazards)
    if kind in _HELD_BY_A_TABLE:
        table = name.rpartition(".")[0]
        hazards = ("drop-trigger",) if kind == "OBJECT_TRIGGER" else ()
        locks = lock("ACCESS EXCLUSIVE", table)
        return Change(
            what=what,
            kind="contract",
            on=table,
            locks=locks,
            undone_by=back,
            hazards=hazards,
        )
    readable, lossy = kind in _RELATIONS, kind in _KEEPS_ROWS
    gone = name if readable else f"{name}.*"
    return Change(
        what=what,
        kind="contract",
        on=name if readable else "",
        locks=lock("ACCESS EXCLUSIVE", name) if readable else (),
        touches=(Touch(relation=gone),) if readable or kind == "OBJECT_SCHEMA" else (),
        lossy=lossy,
        undone_by=back,
        hazards=("lossy",) if lossy else (),
    )


def _rename(body: Tree) -> Iterator[Change]:
    """Read a RENAME: whoever uses the old name fails at once; an index or a constraint nobody calls by name."""
    kind, new = body["rename_type"], body["newname"]
    whole = relation(body["relation"]) if "relation" in body else named(body.get("object"))
    old, parent = body.get("subname", ""), whole
    if "subname" not in body:
        parent, _, old = whole.rpartition(".")
    before, after = (f"{parent}.{old}", f"{parent}.{new}") if parent else (old, new)
    quiet = kind in ("OBJECT_INDEX", "OBJECT_TABCONSTRAINT")
    mode: Mode = "SHARE UPDATE EXCLUSIVE" if kind == "OBJECT_INDEX" else "ACCESS EXCLUSIVE"
    column = old if kind == "OBJECT_COLUMN" else None
    yield Change(
        what=f"rename {_word(kind)} {before} to {new}",
        kind="migrate" if quiet else "contract",
        on=whole if "relation" in body else "",
        locks=lock(mode, whole) if "relation" in body else (),
        touches=(Touch(relation=whole, column=column),) if "relation" in body and not quiet else (),
        undone_by=f"rename {_word(kind)} {after} to {old}",
        hazards=() if quiet or new.startswith(_KEPT) else ("rename",),
    )


def _set_schema(body: Tree) -> Iterator[Change]:
    known = "relation" in body
    whole = relation(body["relation"]) if known else named(body.get("object"))
    schema, _, name = whole.rpartition(".")
    new = body["newschema"]
    yield Change(
        what=f"move {_word(body['object_type'])} {whole} to schema {new}",
        kind="contract",
        on=whole if known else "",
        locks=lock("ACCESS EXCLUSIVE", whole) if known else (),
        touches=(Touch(relation=whole),) if known else (),
        undone_by=f"move {_word(body['object_type'])} {new}.{name} to schema {schema or 'public'}",
        hazards=() if new.startswith(_KEPT) else ("rename",),
    )


def _alter_enum(body: Tree) -> Iterator[Change]:
    name = named(body["type_name"])
    if "old_val" in body:
        old, new = body["old_val"], body["new_val"]
        undo = f"rename value {name}.{new} to {old}"
        yield Change(what=f"rename value {name}.{old} to {new}", kind="contract", undone_by=undo, hazards=("rename",))
    else:
        yield Change(what=f"add value {name}.{body['new_val']}", kind="expand", hazards=("enum-value",))


REMOVALS: Mapping[str, Callable[[Tree], Iterator[Change]]] = {
    "drop_stmt": _drop,
    "rename_stmt": _rename,
    "alter_object_schema_stmt": _set_schema,
    "alter_enum_stmt": _alter_enum,
}
