"""What reads, writes and tends rows, and what can hide anything."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from domain.schema.change import MODES, Change, Mode, Touch, lock
from domain.schema.grammar import Tree, inside, named, relation

_TIMEOUTS = {"lock_timeout", "statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"}
_WRITERS = ("insert_stmt", "update_stmt", "delete_stmt", "merge_stmt")
_SAFE_CALLS = {"setval", "pg_get_serial_sequence", "max", "min", "count", "now", "version", "to_regclass"}


def _written(table: str, what: str, **known: Any) -> Change:
    known.setdefault("locks", lock("ROW EXCLUSIVE", table))
    return Change.model_validate({"what": f"{what} {table}", "kind": "data", "on": table, **known})


def _insert(body: Tree) -> Iterator[Change]:
    table = relation(body["relation"])
    overwrites = body.get("on_conflict_clause", {}).get("action") == "ONCONFLICT_UPDATE"
    slow = "values_lists" not in body.get("select_stmt", {}).get("select_stmt", {})
    yield _written(table, "insert into", lossy=overwrites, slow=slow)


def _update(body: Tree) -> Iterator[Change]:
    table = relation(body["relation"])
    columns = [target["name"] for target in inside(body.get("target_list", []), "res_target") if "name" in target]
    touches = tuple(Touch(relation=table, column=column) for column in dict.fromkeys(columns))
    rule = "backfill" if "where_clause" in body else "mass-update"
    yield _written(table, "update", lossy=True, slow=True, touches=touches, hazards=(rule,))


def _delete(body: Tree) -> Iterator[Change]:
    table = relation(body["relation"])
    yield _written(
        table, "delete from", lossy=True, slow=True, touches=(Touch(relation=table),), hazards=("delete-rows",)
    )


def _merge(body: Tree) -> Iterator[Change]:
    table = relation(body["relation"])
    known = {"lossy": True, "slow": True, "touches": (Touch(relation=table),), "hazards": ("backfill",)}
    yield _written(table, "merge into", **known)


def _truncate(body: Tree) -> Iterator[Change]:
    cascade = ("cascade",) if body.get("behavior") == "DROP_CASCADE" else ()
    for found in inside(body["relations"], "range_var"):
        table = relation(found)
        outright = {"locks": lock("ACCESS EXCLUSIVE", table), "hazards": ("truncate", *cascade)}
        yield _written(table, "truncate", lossy=True, touches=(Touch(relation=table),), **outright)


def _copy(body: Tree) -> Iterator[Change]:
    if body.get("is_program") or "relation" not in body:
        yield from hidden("copy")(body)
    elif body.get("is_from"):
        yield _written(relation(body["relation"]), "copy into", slow=True)
    else:
        yield _looks(relation(body["relation"]))


def _looks(*tables: str) -> Change:
    return Change(what=f"read {', '.join(tables)}".strip(), kind="migrate", locks=lock("ACCESS SHARE", *tables))


def _select(body: Tree) -> Iterator[Change]:
    """Read a SELECT: it may call a function that does anything, and its WITH may write."""
    calls = {named(call["funcname"]).removeprefix("pg_catalog.") for call in inside(body, "func_call")}
    if "into_clause" in body:
        yield Change(what=f"create table {relation(body['into_clause']['rel'])}", kind="expand", slow=True)
    elif unknown := sorted(calls - _SAFE_CALLS):
        yield Change(what=f"select {', '.join(unknown)}()", kind="opaque", hazards=("opaque",))
    elif "setval" in calls:
        yield Change(what="set a sequence", kind="data", lossy=True)
    else:
        tables = [relation(found) for found in inside(body, "range_var")]
        own = {found["ctename"] for found in inside(body, "common_table_expr")}
        yield _looks(*(table for table in tables if table not in own))


def _lock_table(body: Tree) -> Iterator[Change]:
    mode: Mode = MODES[int(body["mode"]) - 1]
    tables = [relation(found) for found in inside(body["relations"], "range_var")]
    what = f"lock {', '.join(tables)} in {mode.lower()} mode"
    yield Change(what=what, kind="migrate", locks=lock(mode, *tables), hazards=("explicit-lock",))


def _options(body: Tree) -> set[str]:
    """Name the options that are switched on; `(full false)` is not."""
    found = [*inside(body.get("options", []), "def_elem"), *inside(body.get("params", []), "def_elem")]
    off = [{"string": {"sval": word}} for word in ("false", "off")] + [{"boolean": {}}, {"integer": {}}]
    return {option["defname"] for option in found if option.get("arg") not in off}


def _vacuum(body: Tree) -> Iterator[Change]:
    tables = [relation(found["relation"]) for found in inside(body.get("rels", []), "vacuum_relation")]
    full = "full" in _options(body)
    word = "vacuum" if body.get("is_vacuumcmd") else "analyze"
    yield Change(
        what=f"{word}{' full' if full else ''} {', '.join(tables)}".strip(),
        kind="migrate",
        on=tables[0] if tables else "",
        locks=lock("ACCESS EXCLUSIVE" if full else "SHARE UPDATE EXCLUSIVE", *tables),
        rewrites=full,
        slow=True,
        transactional=word == "analyze",
        hazards=("table-moved",) if full else (),
    )


def _cluster(body: Tree) -> Iterator[Change]:
    table = relation(body["relation"]) if "relation" in body else ""
    yield Change(
        what=f"cluster {table}".strip(),
        kind="migrate",
        on=table,
        locks=lock("ACCESS EXCLUSIVE", table) if table else (),
        rewrites=True,
        slow=True,
        transactional=bool(table),
        hazards=("table-moved",),
    )


def _reindex(body: Tree) -> Iterator[Change]:
    concurrent, kind = "concurrently" in _options(body), body["kind"].removeprefix("REINDEX_OBJECT_").lower()
    name = relation(body["relation"]) if "relation" in body else body.get("name", "")
    alone: Mode = "ACCESS EXCLUSIVE" if kind == "index" else "SHARE"
    yield Change(
        what=f"reindex {kind} {name}",
        kind="migrate",
        on=name if kind == "table" else "",
        locks=lock("SHARE UPDATE EXCLUSIVE" if concurrent else alone, name) if "relation" in body else (),
        slow=True,
        transactional=not concurrent and "relation" in body,
        hazards=() if concurrent else ("index-blocks-writes",),
    )


def _refresh(body: Tree) -> Iterator[Change]:
    name, concurrent = relation(body["relation"]), bool(body.get("concurrent"))
    yield Change(
        what=f"refresh materialized view {name}",
        kind="migrate",
        on=name,
        locks=lock("EXCLUSIVE" if concurrent else "ACCESS EXCLUSIVE", name),
        slow=True,
        hazards=() if concurrent else ("refresh-blocks-reads",),
    )


def _comment(body: Tree) -> Iterator[Change]:
    name = named(body["object"])
    table = {"OBJECT_TABLE": name, "OBJECT_COLUMN": name.rpartition(".")[0]}.get(body["objtype"], "")
    locks = lock("SHARE UPDATE EXCLUSIVE", table) if table else ()
    yield Change(what=f"comment on {name}", kind="migrate", on=table, locks=locks)


def _sequence(body: Tree) -> Iterator[Change]:
    name = relation(body["sequence"])
    restarts = any(option["defname"] == "restart" for option in inside(body.get("options", []), "def_elem"))
    locks = lock("SHARE ROW EXCLUSIVE", name)
    yield Change(
        what=f"alter sequence {name}", kind="data" if restarts else "migrate", on=name, locks=locks, lossy=restarts
    )


def _set(body: Tree) -> Iterator[Change]:
    name = body.get("name", "everything")
    if name in _TIMEOUTS or body["kind"] in ("VAR_RESET_ALL", "VAR_SET_MULTI"):  # the last is SET TRANSACTION
        yield Change(what=f"set {name}", kind="opaque", hazards=("own-transaction",))
    else:
        yield Change(what=f"set {name}", kind="migrate", hazards=("search-path",) if name == "search_path" else ())


def _transaction(body: Tree) -> Iterator[Change]:
    word = body["kind"].removeprefix("TRANS_STMT_").replace("_", " ").lower()
    yield Change(what=word, kind="opaque", hazards=("own-transaction",))


def hidden(word: str, *, transactional: bool = True) -> Callable[[Tree], Iterator[Change]]:
    """Read what cannot be read: something is done, and the text does not say what."""

    def reader(_: Tree) -> Iterator[Change]:
        yield Change(what=word, kind="opaque", transactional=transactional, hazards=("opaque",))

    return reader


ROWS: Mapping[str, Callable[[Tree], Iterator[Change]]] = {
    "insert_stmt": _insert,
    "update_stmt": _update,
    "delete_stmt": _delete,
    "merge_stmt": _merge,
    "truncate_stmt": _truncate,
    "copy_stmt": _copy,
    "select_stmt": _select,
    "lock_stmt": _lock_table,
    "vacuum_stmt": _vacuum,
    "cluster_stmt": _cluster,
    "reindex_stmt": _reindex,
    "refresh_mat_view_stmt": _refresh,
    "comment_stmt": _comment,
    "alter_seq_stmt": _sequence,
    "variable_set_stmt": _set,
    "transaction_stmt": _transaction,
    "do_stmt": hidden("do block"),
    "call_stmt": hidden("call a procedure"),
    "alter_system_stmt": hidden("alter system", transactional=False),
    "createdb_stmt": hidden("create database", transactional=False),
    "dropdb_stmt": hidden("drop database", transactional=False),
}


def nested_writes(body: Tree) -> Iterator[Change]:
    """List what the WITH of any statement writes."""
    for expression in inside(body, "common_table_expr"):
        for node in _WRITERS:
            if node in expression["ctequery"]:
                yield from ROWS[node](expression["ctequery"][node])
