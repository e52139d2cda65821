"""ALTER TABLE, action by action.

Lock modes are those of AlterTableGetLockLevel in PostgreSQL 18's tablecmds.c; tests ask a server about them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from domain.schema.change import Change, Kind, Mode, Touch, lock
from domain.schema.grammar import Tree, inside, named, relation

_SAME_FOR_ALL_ROWS = frozenset(
    {
        *("now", "transaction_timestamp", "statement_timestamp", "current_setting"),
        *("lower", "upper", "make_interval", "jsonb_build_object", "jsonb_build_array"),
    }
)
_SERIAL = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})
_WIDEST = frozenset({"text", "int8", "numeric"})


class _Action(NamedTuple):
    """An action that says all in its name: what it is, the rules it breaks, and the action that undoes it."""

    what: str
    kind: Kind
    mode: Mode = "ACCESS EXCLUSIVE"
    hazards: tuple[str, ...] = ()
    undo: str = ""
    slow: bool = False


_LIGHT: Mode = "SHARE UPDATE EXCLUSIVE"
_WRITERS: Mode = "SHARE ROW EXCLUSIVE"
_ACTIONS = {
    "AT_SetNotNull": _Action("set not null", "contract", hazards=("not-null-scan",), undo="drop not null", slow=True),
    "AT_DropNotNull": _Action("drop not null", "expand", hazards=("loosened",), undo="set not null"),
    "AT_DropConstraint": _Action("drop constraint", "expand", hazards=("loosened",), undo="add constraint"),
    "AT_ValidateConstraint": _Action("validate constraint", "migrate", _LIGHT, slow=True),
    "AT_SetStatistics": _Action("set statistics", "migrate", _LIGHT),
    "AT_SetOptions": _Action("set column options", "migrate", _LIGHT),
    "AT_ResetOptions": _Action("reset column options", "migrate", _LIGHT),
    "AT_SetRelOptions": _Action("set storage parameters", "migrate", _LIGHT),
    "AT_ResetRelOptions": _Action("reset storage parameters", "migrate", _LIGHT),
    "AT_ClusterOn": _Action("cluster on", "migrate", _LIGHT),
    "AT_DropCluster": _Action("set without cluster", "migrate", _LIGHT),
    "AT_SetStorage": _Action("set storage", "migrate"),
    "AT_SetCompression": _Action("set compression", "migrate"),
    "AT_ReplicaIdentity": _Action("set replica identity", "migrate"),
    "AT_EnableTrig": _Action("enable trigger", "expand", _WRITERS, ("new-trigger",), "disable trigger"),
    "AT_EnableAlwaysTrig": _Action("enable trigger", "expand", _WRITERS, ("new-trigger",), "disable trigger"),
    "AT_EnableReplicaTrig": _Action("enable trigger", "expand", _WRITERS, ("new-trigger",), "disable trigger"),
    "AT_EnableTrigAll": _Action("enable triggers", "expand", _WRITERS, ("new-trigger",), "disable triggers"),
    "AT_EnableTrigUser": _Action("enable triggers", "expand", _WRITERS, ("new-trigger",), "disable triggers"),
    "AT_DisableTrig": _Action("disable trigger", "contract", _WRITERS, ("drop-trigger",), "enable trigger"),
    "AT_DisableTrigAll": _Action("disable triggers", "contract", _WRITERS, ("drop-trigger",), "enable triggers"),
    "AT_DisableTrigUser": _Action("disable triggers", "contract", _WRITERS, ("drop-trigger",), "enable triggers"),
    "AT_AddIdentity": _Action("add identity to", "expand", undo="drop identity of"),
    "AT_SetIdentity": _Action("set identity of", "contract"),
    "AT_DropIdentity": _Action("drop identity of", "contract", undo="add identity to"),
    "AT_DropExpression": _Action("drop expression of", "contract"),
    "AT_AlterConstraint": _Action("alter constraint", "contract"),
    "AT_AddInherit": _Action("inherit", "expand", undo="no inherit"),
    "AT_DropInherit": _Action("no inherit", "contract", undo="inherit"),
    "AT_ChangeOwner": _Action("change owner of", "contract"),
    "AT_EnableRowSecurity": _Action("enable row level security", "contract", undo="disable row level security"),
    "AT_ForceRowSecurity": _Action("force row level security", "contract", undo="no force row level security"),
    "AT_DisableRowSecurity": _Action("disable row level security", "expand", undo="enable row level security"),
    "AT_NoForceRowSecurity": _Action("no force row level security", "expand", undo="force row level security"),
}
_MOVES = {
    "AT_SetTableSpace": "set tablespace",
    "AT_SetLogged": "set logged",
    "AT_SetUnLogged": "set unlogged",
    "AT_SetAccessMethod": "set access method",
}


def alterations(body: Tree) -> Iterator[Change]:
    """List what an ALTER TABLE does. Other things that share its grammar, such as composite types, are opaque."""
    table = relation(body["relation"])
    if body["objtype"] in ("OBJECT_TYPE", "OBJECT_SEQUENCE"):
        yield Change(what=f"alter {table}", kind="opaque", on=table, hazards=("opaque",))
        return
    for command in inside(body["cmds"], "alter_table_cmd"):
        change = _alteration(table, command)
        cascade = command.get("behavior") == "DROP_CASCADE"
        yield change.model_copy(update={"lossy": True, "hazards": (*change.hazards, "cascade")}) if cascade else change


def _alteration(table: str, command: Tree) -> Change:
    subtype, place = command["subtype"], f"{table}.{command['name']}" if "name" in command else table
    if reader := _READERS.get(subtype):
        return reader(table, command)
    if action := _ACTIONS.get(subtype):
        undo = f"{action.undo} {place}" if action.undo else ""
        known = {"locks": lock(action.mode, table), "slow": action.slow, "hazards": action.hazards}
        return _of(table, f"{action.what} {place}", action.kind, undone_by=undo, **known)
    return _of(table, f"{subtype} {place}", "opaque", hazards=("opaque",))


def _of(table: str, what: str, kind: Kind, **known: Any) -> Change:
    known.setdefault("locks", lock("ACCESS EXCLUSIVE", table))
    return Change.model_validate({"what": what, "kind": kind, "on": table, **known})


def _add_column(table: str, command: Tree) -> Change:
    """Read an ADD COLUMN: what must be filled in for the rows that are there decides what it costs."""
    column = command["def"]["column_def"]
    constraints = {found["contype"]: found for found in inside(column.get("constraints", []), "constraint")}
    generated = constraints.get("CONSTR_GENERATED", {})
    default = constraints.get("CONSTR_DEFAULT")
    counted = "CONSTR_IDENTITY" in constraints or column["type_name"]["names"][-1]["string"]["sval"] in _SERIAL
    filled = counted or default is not None or bool(generated)
    required = {"CONSTR_NOTNULL", "CONSTR_PRIMARY"} & constraints.keys() and not filled
    stored = counted or generated.get("generated_kind") == "s"
    volatile = default is not None and _volatile(default)
    foreign = constraints.get("CONSTR_FOREIGN")
    hazards = {
        "required-column": required,
        "stored-column": stored,
        "volatile-default": volatile,
        "unique-scan": {"CONSTR_UNIQUE", "CONSTR_PRIMARY"} & constraints.keys(),
        "check-scan": "CONSTR_CHECK" in constraints,
        "foreign-key-scan": foreign and default,  # a column that is null everywhere need not be looked at
    }
    rules = tuple(rule for rule, broken in hazards.items() if broken)
    place = f"{table}.{column['colname']}"
    locks = lock("ACCESS EXCLUSIVE", table) + (lock("SHARE ROW EXCLUSIVE", _target(foreign)) if foreign else ())
    known = {"rewrites": stored or volatile, "slow": bool(set(rules) - {"required-column"}), "hazards": rules}
    kind: Kind = "contract" if required else "expand"
    return _of(table, f"add column {place}", kind, locks=locks, undone_by=f"drop column {place}", **known)


def _volatile(default: Tree) -> bool:
    """Tell whether a default may differ from row to row; a function that we do not know may."""
    calls = [named(call["funcname"]) for call in inside(default, "func_call")]
    return any(call.removeprefix("pg_catalog.") not in _SAME_FOR_ALL_ROWS for call in calls)


def _target(foreign: Tree) -> str:
    return relation(foreign["pktable"])


def _drop_column(table: str, command: Tree) -> Change:
    place, gone = f"{table}.{command['name']}", (Touch(relation=table, column=command["name"]),)
    back = f"add column {place}"
    known = {"touches": gone, "lossy": True, "undone_by": back, "hazards": ("lossy",)}
    return _of(table, f"drop column {place}", "contract", **known)


def _default(table: str, command: Tree) -> Change:
    place = f"{table}.{command['name']}"
    if "def" in command:
        return _of(table, f"set default {place}", "expand")
    return _of(table, f"drop default {place}", "contract", undone_by=f"set default {place}", hazards=("drop-default",))


def _add_constraint(table: str, command: Tree) -> Change:
    """Read an ADD CONSTRAINT; what is NOT VALID, or stands on an index that is there, looks at no row."""
    constraint = command["def"]["constraint"]
    name = f"{table}.{constraint.get('conname', '')}"
    known: dict[str, Any] = {"undone_by": f"drop constraint {name}"}
    parts = [*constraint.get("keys", []), *constraint.get("fk_attrs", [])]
    read = [named(found["fields"]) for found in inside(constraint.get("raw_expr"), "column_ref")]
    known["columns"] = tuple(f"{table}.{column}" for column in [*map(named, parts), *read])
    match constraint["contype"]:
        case "CONSTR_FOREIGN":
            rule = "foreign-key-scan"
            known["locks"] = lock("SHARE ROW EXCLUSIVE", table, _target(constraint))
        case "CONSTR_CHECK":
            rule = "check-scan"
        case "CONSTR_NOTNULL":
            rule = "not-null-scan"
        case _:
            rule = "unique-scan"
    if not constraint.get("skip_validation") and "indexname" not in constraint:
        known |= {"slow": True, "hazards": (rule,)}
    return _of(table, f"add constraint {name}".rstrip("."), "contract", **known)


def _change_type(table: str, command: Tree) -> Change:
    """Read an ALTER COLUMN TYPE; the text does not say from what, so the worst is assumed of all but the widest."""
    column, to = command["name"], command["def"]["column_def"]
    kind = to["type_name"]["names"][-1]["string"]["sval"]
    widest = kind in _WIDEST and "typmods" not in to["type_name"] and "raw_default" not in to
    return _of(
        table,
        f"change type of {table}.{column} to {kind}",
        "contract",
        rewrites=True,
        slow=True,
        lossy=not widest,
        touches=(Touch(relation=table, column=column),),
        undone_by=f"change type of {table}.{column} to ",
        hazards=("column-type",),
    )


def _attach(table: str, command: Tree) -> Change:
    part = relation(command["def"]["partition_cmd"]["name"])
    known = {"locks": lock(_LIGHT, table) + lock("ACCESS EXCLUSIVE", part), "slow": True, "hazards": ("attach-scan",)}
    return _of(
        table, f"attach partition {table}.{part}", "expand", undone_by=f"detach partition {table}.{part}", **known
    )


def _detach(table: str, command: Tree) -> Change:
    found = command["def"]["partition_cmd"]
    part, concurrent = relation(found["name"]), bool(found.get("concurrent"))
    known = {
        "locks": lock(_LIGHT if concurrent else "ACCESS EXCLUSIVE", table, part),
        "transactional": not concurrent,
        "touches": (Touch(relation=table),),
    }
    back = f"attach partition {table}.{part}"
    return _of(table, f"detach partition {table}.{part}", "contract", undone_by=back, **known)


def _move(table: str, command: Tree) -> Change:
    lossy = command["subtype"] == "AT_SetUnLogged"  # a table without a log is empty after a crash
    known = {"rewrites": True, "slow": True, "lossy": lossy, "hazards": ("table-moved",)}
    return _of(table, f"{_MOVES[command['subtype']]} of {table}", "migrate", **known)


_READERS: Mapping[str, Callable[[str, Tree], Change]] = {
    "AT_AddColumn": _add_column,
    "AT_DropColumn": _drop_column,
    "AT_ColumnDefault": _default,
    "AT_AlterColumnType": _change_type,
    "AT_AddConstraint": _add_constraint,
    "AT_AttachPartition": _attach,
    "AT_DetachPartition": _detach,
    **dict.fromkeys(_MOVES, _move),
}
