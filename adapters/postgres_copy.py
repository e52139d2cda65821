"""A masked copy of a database: built beside the one that is there, and put in its place only when it is whole.

What is half built carries the name of a scratch database, so that every sweep finds it; so does the old copy, from the
moment of the swap until it is dropped. The swap is one transaction: at no time is there no copy.
"""

from collections.abc import Callable
from typing import LiteralString

from psycopg import sql

from adapters import postgres_capture as capture
from adapters import postgres_catalog as catalog
from adapters import postgres_mask as mask
from adapters import postgres_place as place
from adapters import postgres_rows as rows
from adapters import postgres_scan as scan
from adapters import postgres_scratch as scratch
from adapters import postgres_sections as sections
from adapters import postgres_subset as subset
from adapters.postgres_check import fit
from adapters.postgres_end import MAINTENANCE, End
from adapters.postgres_shape import shape as read_shape
from adapters.secrets import remember
from domain.data.needle import Needles
from domain.data.policy import Policy
from domain.data.pseudonym import SHORTEST_KEY
from domain.data.shape import Column, Shape
from domain.data.stamp import Finding, Stamp
from domain.data.subset import Plan, plan
from domain.errors import Conflict, Invalid, Rejected

Say = Callable[[str], None]


def refresh(source: End, target: End, policy: Policy, key: str, say: Say = lambda _: None) -> Stamp:
    """Put a fresh masked copy of `source` in the place of `target`, which is a copy of ours, empty, or not there.

    Raises Refused when the policy does not fit the source or the target is no copy, Rejected when the copy would hold a
    private value or break a constraint, Conflict when somebody else is at it. In every case the old copy stays.
    """
    if len(key) < SHORTEST_KEY:
        raise Invalid(f"the masking key is shorter than {SHORTEST_KEY} characters", "make one: openssl rand -hex 32")
    for pad in (pads := mask.settings(key)).values():
        remember(pad)
    with source.link(pads) as reader, target.beside(MAINTENANCE).link() as keeper:
        shape = fit(reader, policy)
        with place.alone(keeper, target):
            place.insist_on_place(reader, target, keeper)
            with scratch.scratch(keeper) as name:
                stamp = _build(source, reader, target.beside(name), policy, shape, say)
                say("swap")
                old = place.swap(keeper, target, name)
                say("swapped")
                if old:
                    scratch.drop(keeper, old)
    return stamp


def status(target: End) -> Stamp:
    """Read what a copy says about itself. Raises Invalid when it says nothing."""
    with target.link() as link:
        return place.stamp_of(target, link)


def search(source: End, target: End, policy: Policy) -> tuple[int, tuple[Finding, ...]]:
    """Look for a source's private values in its copy; returns how many were looked for, and what was found."""
    with source.link() as reader, target.link() as link:
        with source.telling(reader), catalog.snapshot(reader):
            needles = scan.sample(reader, policy, read_shape(reader), {})
        place.stamp_of(target, link)
        with catalog.snapshot(link):
            return len(needles), scan.search(link, read_shape(link), needles, policy)


def _build(source: End, reader: catalog.Link, fresh: End, policy: Policy, shape: Shape, say: Say) -> Stamp:
    """Fill a new database. The source's snapshot, which holds up its vacuum, ends with the last row."""
    say("schema")
    steps = plan(policy, shape)
    with source.telling(reader):
        kept = subset.prepare(reader, steps)
    with fresh.link() as writer:
        writer.execute(rows.READ_ALIKE)
        with source.telling(reader), catalog.snapshot(reader):
            if read_shape(reader) != shape:
                raise Conflict(f"{source}: its schema changed just now", "try again")
            [[snapshot, taken_at]] = reader.execute(
                'select pg_export_snapshot(), to_char(now(), \'YYYY-MM-DD"T"HH24:MI:SS"Z"\')'
            ).fetchall()
            schema = sections.dump(source, reader, snapshot)
            fingerprint = catalog.fingerprint(reader)
            counted, needles = _fill(source, reader, fresh, writer, schema, (policy, shape, steps, kept), say)
        say("indexes")
        _finish(reader, fresh, writer, schema)
        _compare(fingerprint, reader, writer)
        say("scan")
        _insist_on_nothing_found(writer, shape, needles, policy)
        major, minor = divmod(reader.info.server_version, 10_000)
        stamp = Stamp(
            taken_at=taken_at,
            source=str(source),
            server=f"{major}.{minor}",
            policy=policy.hash,
            tables=counted,
            searched=len(needles),
        )
        place.write(writer, stamp)
    return stamp


def _fill(
    source: End,
    reader: catalog.Link,
    fresh: End,
    writer: catalog.Link,
    schema: bytes,
    what: tuple[Policy, Shape, Plan, subset.Kept],
    say: Say,
) -> tuple[dict[str, int], Needles]:
    policy, shape, steps, kept = what
    with fresh.telling(writer):
        _same_encoding(reader, writer)
        sections.restore("pre-data", schema, fresh, writer)
    say("subset")
    subset.choose(reader, steps, shape, kept)
    counted = dict.fromkeys(shape.tables, 0)
    say("rows")
    with fresh.telling(writer):
        for name in (*steps.whole, *steps.partial):
            if shape.tables[name].written:
                counted[name] = rows.copy(source, reader, writer, shape.tables[name], policy, shape, kept)
            say(f"rows of {name}: {counted[name]}")
        _carry_migrations(source, reader, writer)
        counted |= rows.synthesise(writer, policy, shape)
    return counted, scan.sample(reader, policy, shape, kept)


def _finish(reader: catalog.Link, fresh: End, writer: catalog.Link, schema: bytes) -> None:
    """Make indexes, constraints and triggers, which prove keys and references; then what depends on the rows."""
    sections.restore("post-data", schema, fresh, writer)
    capture.remove(writer)
    sections.continue_sequences(reader, writer)
    sections.refresh_views(writer)
    writer.execute("analyze")


def _compare(fingerprint: str, reader: catalog.Link, writer: catalog.Link) -> None:
    """Hold the copy's schema against the source's; another major version may print the same schema differently."""
    if reader.info.server_version // 10_000 != writer.info.server_version // 10_000:
        return
    with catalog.snapshot(writer):
        if catalog.fingerprint(writer)[: catalog.STRUCTURE] != fingerprint[: catalog.STRUCTURE]:
            raise Rejected("the copy's schema is not the source's", "the old copy stays; please report it")


def _insist_on_nothing_found(writer: catalog.Link, shape: Shape, needles: Needles, policy: Policy) -> None:
    if found := scan.search(writer, shape, needles, policy):
        listed = "\n".join(finding.says for finding in found)
        raise Rejected(
            f"private values would survive\n{listed}",
            "give these columns a rule, or accept them under scan.accept; the old copy stays",
        )


def _carry_migrations(source: End, reader: catalog.Link, writer: catalog.Link) -> None:
    """Bring the migration table along: the copy's schema is what these migrations made."""
    [[known]] = writer.execute("select to_regclass('public.interlock_migrations') is not null").fetchall()
    if known:
        names = reader.execute(
            "select attname from pg_attribute where attrelid = 'public.interlock_migrations'::regclass"
            " and attnum > 0 and not attisdropped order by attnum"
        ).fetchall()
        columns = tuple(Column(name=name, type="", base="", family="other") for (name,) in names)
        cells = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
        query = sql.SQL("select {} from public.interlock_migrations").format(cells)
        rows.relay(source, reader, writer, query, "public.interlock_migrations", columns)


def _same_encoding(reader: catalog.Link, writer: catalog.Link) -> None:
    query: LiteralString = "select pg_encoding_to_char(encoding) from pg_database where datname = current_database()"
    [[there]], [[here]] = reader.execute(query).fetchall(), writer.execute(query).fetchall()
    if there != here:
        raise Invalid(f"the source is in {there}, the target's server makes databases in {here}", "use another server")
