"""CREATE and GRANT: what is new, and who may use it."""

from collections.abc import Callable, Iterator, Mapping

from domain.schema.change import Change, Lock, Touch, lock
from domain.schema.grammar import Tree, inside, named, relation


def _made(kind: str, name: str, *locks: Lock) -> Change:
    return Change(what=f"create {kind} {name}", kind="expand", on=name, locks=locks, undone_by=f"drop {kind} {name}")


def _create_table(body: Tree) -> Iterator[Change]:
    """Read a CREATE TABLE: the new table is nobody's business, those it points at are."""
    name = relation(body["relation"])
    foreign = [relation(found["pktable"]) for found in inside(body, "constraint") if "pktable" in found]
    parents = [relation(found) for found in inside(body.get("inh_relations", []), "range_var")]
    over = lock("ACCESS EXCLUSIVE" if "partbound" in body else "SHARE UPDATE EXCLUSIVE", *parents)
    locks = lock("SHARE ROW EXCLUSIVE", *(target for target in foreign if target != name))
    yield _made("table", name, *over, *locks)


def _create_table_as(body: Tree) -> Iterator[Change]:
    kind = "materialized view" if body["objtype"] == "OBJECT_MATVIEW" else "table"
    yield _made(kind, relation(body["into"]["rel"]))


def _create_index(body: Tree) -> Iterator[Change]:
    table, unique, concurrent = relation(body["relation"]), body.get("unique", False), body.get("concurrent", False)
    schema = table.rpartition(".")[0]
    name = f"{schema}.{body.get('idxname', '')}" if schema else body.get("idxname", "")
    yield Change(
        what=" ".join(filter(None, ("create", unique and "unique", "index", name, "on", table))),
        kind="contract" if unique else "expand",
        on=table,
        locks=lock("SHARE UPDATE EXCLUSIVE" if concurrent else "SHARE", table),
        slow=True,
        transactional=not concurrent,
        undone_by=f"drop index {name}",
        hazards=() if concurrent else ("index-blocks-writes",),
    )


def _create_view(body: Tree) -> Iterator[Change]:
    name = relation(body["view"])
    if not body.get("replace"):
        yield _made("view", name)
        return
    yield Change(
        what=f"replace view {name}",
        kind="contract",
        on=name,
        locks=lock("ACCESS EXCLUSIVE", name),
        touches=(Touch(relation=name),),
        undone_by=f"replace view {name}",
        hazards=("replaced",),
    )


def _create_function(body: Tree) -> Iterator[Change]:
    kind, name = "procedure" if body.get("is_procedure") else "function", named(body["funcname"])
    if body.get("replace"):
        what = f"replace {kind} {name}"
        yield Change(what=what, kind="contract", undone_by=what, hazards=("replaced",))
    else:
        yield _made(kind, name).model_copy(update={"on": ""})


def _create_trigger(body: Tree) -> Iterator[Change]:
    table = relation(body["relation"])
    name = f"{table}.{body['trigname']}"
    yield Change(
        what=f"create trigger {name}",
        kind="expand",
        on=table,
        locks=lock("SHARE ROW EXCLUSIVE", table),
        undone_by=f"drop trigger {name}",
        hazards=("replaced", "new-trigger") if body.get("replace") else ("new-trigger",),
    )


def _create_policy(body: Tree) -> Iterator[Change]:
    table = relation(body["table"])
    what = f"policy {table}.{body['policy_name']}"
    yield Change(
        what=f"create {what}",
        kind="contract",
        on=table,
        locks=lock("ACCESS EXCLUSIVE", table),
        touches=(Touch(relation=table),),
        undone_by=f"drop {what}",
    )


def _create_rule(body: Tree) -> Iterator[Change]:
    table = relation(body["relation"])
    what = f"rule {table}.{body['rulename']}"
    undo = f"drop {what}"
    yield Change(
        what=f"create {what}", kind="contract", on=table, locks=lock("ACCESS EXCLUSIVE", table), undone_by=undo
    )


def _create_statistics(body: Tree) -> Iterator[Change]:
    table, name = relation(inside(body["relations"], "range_var")[0]), named(body.get("defnames", []))
    locks = lock("SHARE UPDATE EXCLUSIVE", table)
    yield Change(
        what=f"create statistics {name}", kind="expand", on=table, locks=locks, undone_by=f"drop statistics {name}"
    )


def _grant(body: Tree) -> Iterator[Change]:
    yield Change(what="grant", kind="expand") if body.get("is_grant") else Change(what="revoke", kind="contract")


def _plain(kind: str, name: Callable[[Tree], str]) -> Callable[[Tree], Iterator[Change]]:
    def reader(body: Tree) -> Iterator[Change]:
        yield _made(kind, name(body)).model_copy(update={"on": ""})

    return reader


DEFINITIONS: Mapping[str, Callable[[Tree], Iterator[Change]]] = {
    "create_stmt": _create_table,
    "create_table_as_stmt": _create_table_as,
    "index_stmt": _create_index,
    "view_stmt": _create_view,
    "create_function_stmt": _create_function,
    "create_trig_stmt": _create_trigger,
    "create_policy_stmt": _create_policy,
    "rule_stmt": _create_rule,
    "create_stats_stmt": _create_statistics,
    "create_schema_stmt": _plain("schema", lambda body: str(body.get("schemaname", "?"))),
    "create_extension_stmt": _plain("extension", lambda body: str(body["extname"])),
    "create_seq_stmt": _plain("sequence", lambda body: relation(body["sequence"])),
    "create_enum_stmt": _plain("type", lambda body: named(body["type_name"])),
    "create_range_stmt": _plain("type", lambda body: named(body["type_name"])),
    "composite_type_stmt": _plain("type", lambda body: relation(body["typevar"])),
    "create_domain_stmt": _plain("domain", lambda body: named(body["domainname"])),
    "grant_stmt": _grant,
    "grant_role_stmt": _grant,
    "alter_default_privileges_stmt": lambda body: _grant(body["action"]),
    "alter_domain_stmt": lambda body: iter([Change(what=f"alter domain {named(body['type_name'])}", kind="contract")]),
    "alter_owner_stmt": lambda body: iter([Change(what=f"change owner of {named(body['object'])}", kind="contract")]),
}
