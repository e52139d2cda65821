"""Ways back that do not lead back: each is a mistake that somebody makes, and a prover must see every one."""

from bench.database.way import Way

_OPEN_ORDERS = """
create view open_orders with (security_barrier) as
  select o.id, c.email, o.total, o.placed_at from orders o join customers c on c.id = o.customer_id
  where o.state in ('new', 'paid');
"""

_COLUMNS = (
    Way(
        "default-lost",
        up="alter table products alter column active set default false;",
        down="alter table products alter column active drop default;",
        good=False,
        because="new products were active by default, and are neither active nor inactive now",
        caught_by="schema",
    ),
    Way(
        "default-changed",
        up="alter table orders alter column channel set default 'app';",
        down="alter table orders alter column channel set default 'shop';",
        good=False,
        because="the default was 'web'",
        caught_by="schema",
    ),
    Way(
        "default-frozen",
        up="alter table customers alter column created_at drop default;"
        " alter table customers alter column created_at set default clock_timestamp();",
        down="alter table customers alter column created_at set default '2025-06-01 12:00+02';",
        good=False,
        because="every new customer would be created at the moment somebody pasted into the script",
        caught_by="schema",
    ),
    Way(
        "default-needed",
        up="alter table orders alter column channel drop default;",
        down="alter table orders alter column channel set default 'web';",
        good=False,
        because="the old version leaves the channel out, and each of its inserts fails meanwhile",
        caught_by="old smoke",
    ),
    Way(
        "not-null-lost",
        up="alter table customers alter column country drop not null;",
        down="select 1;",
        good=False,
        because="the old version reads a country everywhere, and NULLs may come in from now on",
        caught_by="schema",
    ),
    Way(
        "not-null-over-new-nulls",
        up="alter table customers alter column full_name drop not null;",
        down="alter table customers alter column full_name set not null;",
        good=False,
        because="the new version writes NULLs, and the first of them stops the way back",
        new_smoke="insert into customers (email, full_name, created_at)"
        " values ('new@example.org', null, '2025-06-01 12:00+02');",
        caught_by="down fails",
    ),
    Way(
        "required-column",
        up="alter table products add column tax_code text;"
        " update products set tax_code = 'NORMAL';"
        " alter table products alter column tax_code set not null;",
        down="alter table products drop column tax_code;",
        good=False,
        because="the old version does not know the column, and its inserts fail for want of a default",
        caught_by="old smoke",
    ),
    Way(
        "column-renamed",
        up="alter table orders rename column note to remark;",
        down="alter table orders rename column remark to note;",
        good=False,
        because="the old version still calls it note",
        caught_by="old smoke",
    ),
    Way(
        "column-dropped-and-added-empty",
        up="alter table customers drop column fax;",
        down="alter table customers add column fax text;",
        good=False,
        because="the column is back, and its values are not",
        caught_by="data",
    ),
    Way(
        "column-back-with-another-type",
        up="alter table products rename column legacy_code to zz_dropped_legacy_code;",
        down="""
alter table products add column legacy_code text;
update products set legacy_code = zz_dropped_legacy_code;
alter table products drop column zz_dropped_legacy_code;
""",
        good=False,
        because="the values are all there, and the limit of twelve letters is not",
        caught_by="schema",
    ),
    Way(
        "column-with-an-everyday-name",
        up="alter table customers add column note text;",
        down="alter table customers drop column note;",
        good=False,
        because="the old version joins customers and orders and asks for note, which is now in both",
        caught_by="old smoke",
    ),
    Way(
        "column-forgotten",
        up="alter table items add column gift boolean; alter table items add column gift_text text;",
        down="alter table items drop column gift;",
        good=False,
        because="one of two columns stays, and the next way there stumbles over it",
        caught_by="schema",
    ),
    Way(
        "nulls-made-empty",
        up="""
update customers set phone = '' where phone is null;
alter table customers alter column phone set default '', alter column phone set not null;
""",
        down="""
alter table customers alter column phone drop not null, alter column phone drop default;
update customers set phone = null where phone = '';
""",
        good=False,
        because="some numbers were empty before, and nobody can tell them from those that were NULL",
        caught_by="data",
    ),
    Way(
        "generated-column-made-plain",
        up="alter table products alter column gross drop expression;",
        down="select 1;",
        good=False,
        because="the values stay as they are from now on, whatever the price becomes",
        caught_by="schema",
    ),
    Way(
        "generated-column-rounds-otherwise",
        up="alter table products alter column gross set expression as (price + price / 5);",
        down="alter table products alter column gross set expression as (price * 121 / 100);",
        good=False,
        because="the expression that is put back cuts off what the old one rounded",
        caught_by="data",
    ),
)

_TYPES = (
    Way(
        "text-cut-short",
        up="alter table orders alter column coupon type varchar(20) using left(coupon, 20);",
        down="alter table orders alter column coupon type varchar(64);",
        good=False,
        because="the longer coupons have lost their ends",
        caught_by="data",
    ),
    Way(
        "text-cut-on-the-way-back",
        up="alter table orders alter column coupon type text;",
        down="alter table orders alter column coupon type varchar(64) using left(coupon, 64);",
        good=False,
        because="the new version writes longer coupons, and their ends are cut off",
        new_smoke="update orders set coupon = repeat('LONG', 20) where id = 5031;",
        caught_by="writes",
    ),
    Way(
        "text-too-long-for-the-way-back",
        up="alter table customers alter column phone type text;",
        down="alter table customers alter column phone type varchar(24);",
        good=False,
        because="the new version writes numbers with extensions, which do not fit any more",
        new_smoke="update customers set phone = '+31 20 5550123 extension 4711' where id = 1012;",
        caught_by="down fails",
    ),
    Way(
        "type-left-wider",
        up="alter table stock alter column reserved type bigint;",
        down="select 1;",
        good=False,
        because="somebody thought that a wider type hurts nobody, but it is another schema than before",
        caught_by="schema",
    ),
    Way(
        "number-too-great-for-the-way-back",
        up="alter table stock alter column reserved type bigint;",
        down="alter table stock alter column reserved type integer;",
        good=False,
        because="the new version writes what an integer cannot hold",
        new_smoke="update stock set reserved = 3000000000 where warehouse = 'AMS' and product_id = 9;",
        caught_by="down fails",
    ),
    Way(
        "decimals-lost",
        up="alter table payments alter column amount type numeric(14, 2);",
        down="alter table payments alter column amount type numeric(14, 4);",
        good=False,
        because="two of four decimals are rounded away, and zeros come back",
        caught_by="data",
    ),
    Way(
        "decimals-lost-on-the-way-back",
        up="alter table customers alter column loyalty type numeric(15, 6);",
        down="alter table customers alter column loyalty type numeric(9, 3);",
        good=False,
        because="the new version reckons with six decimals, and the way back rounds them",
        new_smoke="update customers set loyalty = 0.123456 where id = 1013;",
        caught_by="writes",
    ),
    Way(
        "money-in-floats",
        up="alter table payments alter column amount type real;",
        down="alter table payments alter column amount type numeric(14, 4);",
        good=False,
        because="a short float keeps six digits of fourteen",
        caught_by="data",
    ),
    Way(
        "hour-that-comes-twice",
        up="alter table payments alter column paid_at type timestamp using paid_at at time zone 'Europe/Amsterdam';",
        down="alter table payments alter column paid_at type timestamptz"
        " using paid_at at time zone 'Europe/Amsterdam';",
        good=False,
        because="on the last Sunday of October two instants have one local time, and those payments move by an hour",
        caught_by="data",
    ),
    Way(
        "zone-dropped-under-the-old-version",
        up="alter table payments alter column paid_at type timestamp using paid_at at time zone 'UTC';",
        down="alter table payments alter column paid_at type timestamptz using paid_at at time zone 'UTC';",
        good=False,
        because="every stored instant comes back, but the old version writes +02 meanwhile, which is thrown away",
        caught_by="writes",
    ),
    Way(
        "phone-as-a-number",
        up="alter table customers alter column phone type bigint"
        " using nullif(regexp_replace(phone, '[^0-9]', '', 'g'), '')::bigint;",
        down="alter table customers alter column phone type varchar(24) using '+' || phone;",
        good=False,
        because="blanks, leading zeros and empty numbers are gone",
        caught_by="data",
    ),
    Way(
        "type-that-rows-do-not-fit",
        up="alter table customers alter column phone type bigint using phone::bigint;",
        down="alter table customers alter column phone type varchar(24);",
        good=False,
        because="it went well on a developer's three rows; here are blanks, plus signs and empty numbers",
        caught_by="up fails",
    ),
    Way(
        "enum-value-left",
        up="alter type order_state add value 'returned' after 'shipped';",
        down="select 1; -- PostgreSQL cannot drop a value",
        good=False,
        because="the value stays, and the next way there fails on it",
        caught_by="schema",
    ),
    Way(
        "enum-in-another-order",
        up="alter type order_state add value 'returned' after 'shipped';",
        down=f"""
drop view open_orders;
drop index orders_open;
alter table orders alter column state drop default;
alter type order_state rename to zz_order_state;
create type order_state as enum ('cancelled', 'new', 'paid', 'shipped');
alter table orders alter column state type order_state using state::text::order_state;
alter table orders alter column state set default 'new';
drop type zz_order_state;
create index orders_open on orders (placed_at) where state in ('new', 'paid');
{_OPEN_ORDERS}
""",
        good=False,
        because="the values are listed alphabetically, so that every comparison and every sort is another one",
        caught_by="schema",
    ),
    Way(
        "enum-too-small-for-the-way-back",
        up="alter type order_state add value 'returned' after 'shipped';",
        down=f"""
drop view open_orders;
drop index orders_open;
alter table orders alter column state drop default;
alter type order_state rename to zz_order_state;
create type order_state as enum ('new', 'paid', 'shipped', 'cancelled');
alter table orders alter column state type order_state using state::text::order_state;
alter table orders alter column state set default 'new';
drop type zz_order_state;
create index orders_open on orders (placed_at) where state in ('new', 'paid');
{_OPEN_ORDERS}
""",
        good=False,
        because="the new version writes the new value, which the old type does not know",
        new_smoke="update orders set state = 'returned' where id = 5006;",
        caught_by="down fails",
    ),
    Way(
        "domain-without-its-check",
        up="alter domain cents drop constraint cents_not_negative;",
        down="alter domain cents set not null; alter domain cents drop not null;",
        good=False,
        because="negative prices are possible from now on",
        caught_by="schema",
    ),
    Way(
        "domain-lost",
        up=f"drop view open_orders; alter table orders alter column total type numeric(20, 0); {_OPEN_ORDERS}",
        down=f"drop view open_orders; alter table orders alter column total type bigint; {_OPEN_ORDERS}",
        good=False,
        because="the column was of the domain, which refuses negative totals",
        caught_by="schema",
    ),
    Way(
        "collation-lost",
        up="alter table customers alter column code type varchar(40);",
        down="alter table customers alter column code type text;",
        good=False,
        because="the column sorted by bytes, and that is not said again",
        caught_by="schema",
    ),
)

_ROWS = (
    Way(
        "case-lost",
        up="update customers set email = upper(email) where email not ilike 'twin@%';",
        down="update customers set email = lower(email) where email not ilike 'twin@%';",
        good=False,
        because="addresses with capitals come back without them",
        caught_by="data",
    ),
    Way(
        "case-folded-onto-a-neighbour",
        up="update customers set email = lower(email);",
        down="select 1;",
        good=False,
        because="two customers differ by capitals only, and cannot have one address",
        caught_by="up fails",
    ),
    Way(
        "two-values-made-one",
        up="update orders set channel = 'web' where channel = 'app';",
        down="update orders set channel = 'app' where channel = 'web' and coupon is not null;",
        good=False,
        because="nobody knows any more which of them came from the app",
        caught_by="data",
    ),
    Way(
        "update-without-inverse",
        up="alter table stock add column counted date; update stock set reserved = 0 where reserved > amount;",
        down="alter table stock drop column counted;",
        good=False,
        because="the column goes, and the reservations stay at zero",
        caught_by="data",
    ),
    Way(
        "update-counted-by-a-trigger",
        up="""
create table zz_notes as select id, note from orders where note = '';
update orders set note = null where note = '';
""",
        down="""
update orders o set note = z.note from zz_notes z where z.id = o.id and o.note is null;
drop table zz_notes;
""",
        good=False,
        because="the notes come back, but a trigger has counted both updates as changes by somebody",
        caught_by="data",
    ),
    Way(
        "update-that-rounds",
        up="update customers set loyalty = loyalty * 0.9 where abs(loyalty) < 500;",
        down="update customers set loyalty = loyalty / 0.9 where abs(loyalty) < 450;",
        good=False,
        because="three decimals are too few to divide again what was multiplied",
        caught_by="data",
    ),
    Way(
        "copy-over-newer-writes",
        up="""
create table zz_emails as select id, email from customers where email <> lower(email) and email not ilike 'twin@%';
update customers c set email = lower(c.email) from zz_emails z where z.id = c.id;
""",
        down="""
update customers c set email = z.email from zz_emails z where z.id = c.id;
drop table zz_emails;
""",
        good=False,
        because="an address that was changed in between is overwritten by the copy",
        new_smoke="update customers set email = 'changed.since@example.org' where id = 1008;",
        caught_by="writes",
    ),
    Way(
        "units-changed-under-the-old-version",
        up="update visits set seconds = seconds * 1000; alter table visits alter column seconds type bigint;",
        down="update visits set seconds = seconds / 1000; alter table visits alter column seconds type integer;",
        good=False,
        because="the inverse is exact for what was there, but the old version writes seconds among the milliseconds",
        caught_by="writes",
    ),
    Way(
        "table-from-a-stale-copy",
        up="""
alter table visits rename to zz_dropped_visits;
create table visits (customer_id bigint, page text, seconds integer, seen date);
insert into visits select * from zz_dropped_visits;
create index visits_seen on visits (seen);
""",
        down="""
drop table visits;
alter table zz_dropped_visits rename to visits;
""",
        good=False,
        because="the table that was put aside knows nothing of what was written since",
        new_smoke="insert into visits values (1001, '/new', 5, '2025-06-02');",
        caught_by="writes",
    ),
    Way(
        "rows-deleted",
        up="delete from audit.entries where at < '2024-09-01';",
        down="select 1;",
        good=False,
        because="nobody kept a copy",
        caught_by="data",
    ),
    Way(
        "rows-of-the-new-version-deleted",
        up="""
alter table payments drop constraint payments_method_known;
alter table payments add constraint payments_method_known
  check (method in ('card', 'cash', 'transfer', 'voucher'));
""",
        down="""
delete from payments where method = 'voucher';
alter table payments drop constraint payments_method_known;
alter table payments add constraint payments_method_known check (method in ('card', 'cash', 'transfer'));
""",
        good=False,
        because="whatever was paid with a voucher is thrown away, so that the old check fits again",
        new_smoke="insert into payments (id, order_id, amount, method, paid_at) values"
        " ('11111111-2222-3333-4444-555555555555', 5001, 1, 'voucher', '2025-06-01 12:00+02');",
        caught_by="writes",
    ),
    Way(
        "table-emptied",
        up="truncate old_carts;",
        down="select 1;",
        good=False,
        because="truncate has no inverse",
        caught_by="data",
    ),
    Way(
        "table-dropped-and-made-empty",
        up="drop table old_carts;",
        down="""
create table old_carts (
  id integer primary key,
  customer_id bigint constraint old_carts_customer_id_fkey references customers,
  content text not null
);
create index old_carts_customer on old_carts (customer_id);
""",
        good=False,
        because="the schema is exactly what it was, and three hundred carts are not there",
        caught_by="data",
    ),
    Way(
        "equal-rows-made-one",
        up="""
create table zz_visits as select distinct * from visits;
truncate visits;
insert into visits select * from zz_visits;
drop table zz_visits;
""",
        down="select 1;",
        good=False,
        because="two equal visits were two visits",
        caught_by="data",
    ),
    Way(
        "equal-rows-counted-together",
        up="""
create table zz_visits as select customer_id, page, seconds, seen, count(*) as times from visits group by 1, 2, 3, 4;
delete from visits where customer_id is null;
""",
        down="""
insert into visits select customer_id, page, seconds, seen from zz_visits where customer_id is null;
drop table zz_visits;
""",
        good=False,
        because="each kind of visit comes back once, however often it was there",
        caught_by="data",
    ),
    Way(
        "rows-told-apart-by-their-place",
        up="""
create table zz_seconds as select row_number() over () as place, seconds from visits;
update visits set seconds = seconds / 60 where seconds >= 60;
""",
        down="""
update visits v set seconds = z.seconds
  from (select ctid as here, row_number() over () as place from visits) o join zz_seconds z on z.place = o.place
  where v.ctid = o.here;
drop table zz_seconds;
""",
        good=False,
        because="an updated row moves to another place, so that the copies meet the wrong rows",
        caught_by="data",
    ),
    Way(
        "key-of-a-document-lost",
        up="update customers set settings = settings - 'theme' where settings ? 'theme';",
        down="update customers set settings = settings || '{\"theme\": \"light\"}' where settings <> '{}';",
        good=False,
        because="everybody has the light theme now",
        caught_by="data",
    ),
    Way(
        "document-through-columns",
        up="""
create table zz_payloads as select id, at, payload ->> 'page' as page, (payload ->> 'ms')::integer as ms from events;
update events set payload = null where payload is not null;
""",
        down="""
update events e set payload = jsonb_build_object('page', z.page, 'ms', z.ms)
  from zz_payloads z where z.id = e.id and z.at = e.at and e.payload is null and z.page is not null;
drop table zz_payloads;
""",
        good=False,
        because="a payload that was a JSON null, not a missing one, comes back as a missing one",
        caught_by="data",
    ),
    Way(
        "lines-numbered-anew",
        up="update audit.entries set who = trim(who), what = what - 'changed' where id > 290;",
        down="update audit.entries set what = jsonb_build_object('changed', id) where id > 290 and who is not null;",
        good=False,
        because="entries without a clerk are overlooked on the way back",
        caught_by="data",
    ),
    Way(
        "seeded-rows-left",
        up="insert into products (sku, title, price) values ('GIFT-0001', 'Voucher', 2500)"
        " on conflict (sku) do nothing;",
        down="select 1;",
        good=False,
        because="the old version sells a product that it does not know",
        caught_by="data",
    ),
    Way(
        "writes-bent-by-a-trigger",
        up="""
create function tidy_email() returns trigger language plpgsql as
$$ begin new.email := lower(new.email); return new; end $$;
create trigger customers_tidy_email before insert or update of email on customers
  for each row execute function tidy_email();
""",
        down="""
drop trigger customers_tidy_email on customers;
drop function tidy_email();
""",
        good=False,
        because="addresses that the old version writes meanwhile are not those that it will look for",
        caught_by="writes",
    ),
    Way(
        "writes-swallowed-by-a-view",
        up="""
alter table visits rename to page_views;
create view visits as select customer_id, page, seconds, seen from page_views;
create rule visits_closed as on insert to visits do instead nothing;
""",
        down="""
drop view visits;
alter table page_views rename to visits;
""",
        good=False,
        because="the old version's inserts succeed and go nowhere",
        caught_by="writes",
    ),
)

_RULES = (
    Way(
        "foreign-key-forgotten",
        up="alter table stock drop constraint stock_product_id_fkey; alter table stock add column bin text;",
        down="alter table stock drop column bin;",
        good=False,
        because="one of two changes is undone",
        caught_by="schema",
    ),
    Way(
        "foreign-key-deletes-otherwise",
        up="""
alter table items drop constraint items_order_id_fkey;
alter table items add constraint items_order_id_fkey foreign key (order_id) references orders on delete restrict;
""",
        down="""
alter table items drop constraint items_order_id_fkey;
alter table items add constraint items_order_id_fkey foreign key (order_id) references orders;
""",
        good=False,
        because="items went with their order before, and keep it from going now",
        caught_by="schema",
    ),
    Way(
        "foreign-key-never-validated",
        up="alter table old_carts drop constraint old_carts_customer_id_fkey;",
        down="alter table old_carts add constraint old_carts_customer_id_fkey"
        " foreign key (customer_id) references customers not valid;",
        good=False,
        because="rows that are there already are not vouched for any more",
        caught_by="schema",
    ),
    Way(
        "foreign-key-not-deferred",
        up="alter table payments alter constraint payments_order_id_fkey not deferrable;",
        down="alter table payments alter constraint payments_order_id_fkey deferrable;",
        good=False,
        because="it may be deferred again, but is not from the start, as it was",
        caught_by="schema",
    ),
    Way(
        "foreign-key-not-enforced",
        up="alter table items alter constraint items_product_id_fkey not enforced;",
        down="alter table items validate constraint items_order_id_fkey;",
        good=False,
        because="the key is still written down, and nobody looks at it",
        caught_by="schema",
    ),
    Way(
        "foreign-key-over-orphans",
        up="alter table items drop constraint items_product_id_fkey;",
        down="alter table items add constraint items_product_id_fkey foreign key (product_id) references products;",
        good=False,
        because="the new version writes items of products that come from elsewhere, and no key fits them",
        new_smoke="insert into items (order_id, line, product_id, price) values (5001, 90, 999999, 1);",
        caught_by="down fails",
    ),
    Way(
        "check-renamed-by-itself",
        up="alter table customers drop constraint customers_country_known;",
        down="alter table customers add check (country ~ '^[A-Z]{2}$');",
        good=False,
        because="PostgreSQL gives it a name of its own, and the next migration that names it fails",
        caught_by="schema",
    ),
    Way(
        "check-over-new-rows",
        up="""
alter table payments drop constraint payments_method_known;
alter table payments add constraint payments_method_known
  check (method in ('card', 'cash', 'transfer', 'voucher'));
""",
        down="""
alter table payments drop constraint payments_method_known;
alter table payments add constraint payments_method_known check (method in ('card', 'cash', 'transfer'));
""",
        good=False,
        because="the new version takes vouchers, and the old check refuses the rows",
        new_smoke="insert into payments (id, order_id, amount, method, paid_at) values"
        " ('11111111-2222-3333-4444-555555555555', 5001, 1, 'voucher', '2025-06-01 12:00+02');",
        caught_by="down fails",
    ),
    Way(
        "check-that-old-writes-fail",
        up="alter table customers add constraint customers_phone_international check (phone like '+%') not valid;",
        down="alter table customers drop constraint customers_phone_international;",
        good=False,
        because="the old version writes numbers that begin with 00",
        caught_by="old smoke",
    ),
    Way(
        "check-that-old-rows-fail",
        up="alter table items add constraint items_price_not_negative check (price >= 0);",
        down="alter table items drop constraint items_price_not_negative;",
        good=False,
        because="one order has a voucher as a negative line",
        caught_by="up fails",
    ),
    Way(
        "check-loosened",
        up="alter table orders drop constraint orders_shipped_later;",
        down="alter table orders add constraint orders_shipped_later"
        " check (shipped_at >= placed_at or shipped_at > '2024-01-01');",
        good=False,
        because="what is put back lets through what the old check refused",
        caught_by="schema",
    ),
    Way(
        "unique-columns-swapped",
        up="alter table stock drop constraint stock_shelf_key;",
        down="alter table stock add constraint stock_shelf_key unique (shelf, warehouse);",
        good=False,
        because="the index behind it serves other questions than before",
        caught_by="schema",
    ),
    Way(
        "unique-over-new-twins",
        up="alter table products drop constraint products_sku_key;",
        down="alter table products add constraint products_sku_key unique (sku);",
        good=False,
        because="the new version has one number for a product in several sizes",
        new_smoke="insert into products (sku, title, price) values ('SKU-00003', 'Mug, large', 400);",
        caught_by="down fails",
    ),
    Way(
        "unique-index-instead-of-constraint",
        up="alter table products drop constraint products_sku_key;",
        down="create unique index products_sku_key on products (sku);",
        good=False,
        because="an index of the same name is no constraint: a deferred check or a foreign key cannot use it",
        caught_by="schema",
    ),
    Way(
        "key-that-the-old-version-names",
        up="""
alter table stock drop constraint stock_pkey;
alter table stock add column id bigint generated always as identity constraint stock_pkey primary key;
""",
        down="""
alter table stock drop column id;
alter table stock add constraint stock_pkey primary key (warehouse, product_id);
""",
        good=False,
        because="the old version inserts on conflict of the key that is gone meanwhile",
        caught_by="old smoke",
    ),
    Way(
        "row-security-left-on",
        up="alter table payments enable row level security; create policy payments_all on payments using (true);",
        down="drop policy payments_all on payments;",
        good=False,
        because="without a policy nobody but the owner sees a row",
        caught_by="schema",
    ),
)

_INDEXES = (
    Way(
        "index-lost",
        up="drop index items_product; create index items_product_price on items (product_id, price);",
        down="drop index items_product_price;",
        good=False,
        because="the new index goes, and the old one does not come back",
        caught_by="schema",
    ),
    Way(
        "index-without-its-predicate",
        up="drop index orders_open; create index orders_open on orders (placed_at) where state = 'new';",
        down="drop index orders_open; create index orders_open on orders (placed_at);",
        good=False,
        because="it is a hundred times as large as the one that knew only open orders",
        caught_by="schema",
    ),
    Way(
        "index-in-another-direction",
        up="drop index orders_customer_placed;",
        down="create index orders_customer_placed on orders (customer_id, placed_at);",
        good=False,
        because="the newest came first",
        caught_by="schema",
    ),
    Way(
        "index-on-the-plain-column",
        up="drop index customers_lower_name;",
        down="create index customers_lower_name on customers (full_name);",
        good=False,
        because="a search that ignores capitals does not find it",
        caught_by="schema",
    ),
    Way(
        "index-name-misspelt",
        up="create index orders_channel on orders (channel);",
        down="drop index orders_channel_idx;",
        good=False,
        because="the way back names an index that is not there",
        caught_by="down fails",
    ),
    Way(
        "unique-index-over-twins",
        up="-- interlock: tx=off\ncreate unique index concurrently customers_email_once on customers (lower(email));",
        down="drop index customers_email_once;",
        good=False,
        because="two customers differ by capitals only, and a broken index stays where it failed",
        caught_by="up fails",
    ),
    Way(
        "statistics-lost",
        up="drop statistics orders_together;",
        down="analyze orders;",
        good=False,
        because="plans that knew how columns go together are guessed again",
        caught_by="schema",
    ),
    Way(
        "storage-parameter-lost",
        up="alter table customers set (fillfactor = 70);",
        down="alter table customers reset (fillfactor);",
        good=False,
        because="it was 90, not the default",
        caught_by="schema",
    ),
    Way(
        "table-left-unlogged",
        up="alter table visits set unlogged; create index visits_page on visits (page);",
        down="drop index visits_page;",
        good=False,
        because="the table was made fast for a load, and is empty after the next crash",
        caught_by="schema",
    ),
)

_CODE = (
    Way(
        "view-that-forgets-a-condition",
        up="""
create or replace view open_orders with (security_barrier) as
  select o.id, c.email, o.total, o.placed_at, o.channel from orders o join customers c on c.id = o.customer_id
  where o.state in ('new', 'paid');
""",
        down="""
drop view open_orders;
create view open_orders with (security_barrier) as
  select o.id, c.email, o.total, o.placed_at from orders o join customers c on c.id = o.customer_id
  where o.state = 'new';
""",
        good=False,
        because="paid orders do not count as open any more",
        caught_by="schema",
    ),
    Way(
        "view-without-its-barrier",
        up="drop view open_orders;"
        " create view open_orders as select id, ''::text as email, total, placed_at from orders;",
        down=f"drop view open_orders; {_OPEN_ORDERS.replace('with (security_barrier) ', '')}",
        good=False,
        because="a cheap function in a condition sees rows that the view hides",
        caught_by="schema",
    ),
    Way(
        "view-dropped",
        up="drop view open_orders;",
        down=_OPEN_ORDERS,
        good=False,
        because="the old version reads it",
        caught_by="old smoke",
    ),
    Way(
        "materialized-view-empty",
        up="drop materialized view sales;"
        " create materialized view sales as"
        "   select product_id, sum(quantity) as sold, count(distinct order_id) as orders, max(price) as dearest"
        "   from items group by product_id;"
        " create unique index sales_product on sales (product_id);",
        down="drop materialized view sales;"
        " create materialized view sales as"
        "   select product_id, sum(quantity) as sold, count(distinct order_id) as orders"
        "   from items group by product_id with no data;"
        " create unique index sales_product on sales (product_id);",
        good=False,
        because="it is there and may not be read before somebody refreshes it",
        caught_by="old smoke",
    ),
    Way(
        "materialized-view-without-its-index",
        up="drop materialized view sales; create materialized view sales as"
        " select product_id, sum(quantity) as sold, count(*) as orders from items group by product_id;",
        down="drop materialized view sales; create materialized view sales as"
        " select product_id, sum(quantity) as sold, count(distinct order_id) as orders from items group by product_id;",
        good=False,
        because="without the unique index it cannot be refreshed beside its readers",
        caught_by="schema",
    ),
    Way(
        "function-from-memory",
        up="""
create or replace function order_total(the_order bigint) returns bigint language sql stable as
$$ select coalesce(sum(quantity * price), 0)::bigint * 121 / 100 from items where order_id = the_order $$;
""",
        down="""
create or replace function order_total(the_order bigint) returns bigint language sql stable as
$$ select sum(quantity * price)::bigint from items where order_id = the_order $$;
""",
        good=False,
        because="an order without items had a total of zero, and has none now",
        caught_by="schema",
    ),
    Way(
        "function-no-longer-stable",
        up="""
create or replace function order_total(the_order bigint) returns bigint language sql stable as
$$ select coalesce(sum(quantity * price), 0)::bigint + 0 from items where order_id = the_order $$;
""",
        down="""
create or replace function order_total(the_order bigint) returns bigint language sql as
$$ select coalesce(sum(quantity * price), 0)::bigint from items where order_id = the_order $$;
""",
        good=False,
        because="the body is the same, but the planner may not call it once for a whole query any more",
        caught_by="schema",
    ),
    Way(
        "function-with-a-default-argument",
        up="""
create function order_total(the_order bigint, with_tax boolean default true) returns bigint language sql stable as
$$ select coalesce(sum(quantity * price), 0)::bigint from items where order_id = the_order $$;
""",
        down="drop function order_total(bigint, boolean);",
        good=False,
        because="a call with one argument fits both, and PostgreSQL refuses to choose",
        caught_by="old smoke",
    ),
    Way(
        "trigger-left-behind",
        up="""
create function shout() returns trigger language plpgsql as
$$ begin perform pg_notify('stock', ''); return null; end $$;
create trigger stock_shouted after update on stock for each statement execute function shout();
alter table stock add column noticed boolean;
""",
        down="alter table stock drop column noticed;",
        good=False,
        because="the trigger and its function stay, and fail the next way there",
        caught_by="schema",
    ),
    Way(
        "trigger-left-asleep",
        up="""
alter table orders disable trigger orders_touch;
alter table orders add column campaign text;
update orders set campaign = 'none';
""",
        down="alter table orders drop column campaign;",
        good=False,
        because="it was put to sleep for the update, and nobody wakes it up",
        caught_by="schema",
    ),
    Way(
        "trigger-asleep-meanwhile",
        up="alter table payments disable trigger payments_noted;",
        down="alter table payments enable trigger payments_noted;",
        good=False,
        because="the schema comes back whole, but payments that the old version takes meanwhile are never noted",
        caught_by="writes",
    ),
    Way(
        "trigger-at-another-moment",
        up="drop trigger payments_noted on payments;"
        " create trigger payments_noted after insert on payments for each row when (new.amount > 0)"
        " execute function note_payment();",
        down="drop trigger payments_noted on payments;"
        " create trigger payments_noted after insert or update on payments for each row"
        " execute function note_payment();",
        good=False,
        because="every later change of a payment is noted as one more payment",
        caught_by="schema",
    ),
    Way(
        "way-back-in-the-wrong-order",
        up="""
alter table orders add column priority integer not null default 0;
create view urgent_orders as select id, priority from orders where priority > 5;
""",
        down="""
alter table orders drop column priority;
drop view urgent_orders;
""",
        good=False,
        because="the view still stands on the column when the column is to go",
        caught_by="down fails",
    ),
    Way(
        "schema-left-behind",
        up="create schema reports; create table reports.days (day date primary key, turnover cents not null);",
        down="drop table reports.days;",
        good=False,
        because="the empty schema stays, and the next way there fails on it",
        caught_by="schema",
    ),
)

_NUMBERS = (
    Way(
        "identity-begins-again",
        up="""
alter table customers alter column id drop identity;
create sequence zz_customer_id start with 700000;
alter table customers alter column id set default nextval('zz_customer_id');
""",
        down="""
alter table customers alter column id drop default;
drop sequence zz_customer_id;
alter table customers alter column id add generated always as identity (start with 1000);
""",
        good=False,
        because="the definition is the same, but it gives out numbers that are taken",
        caught_by="old smoke",
    ),
    Way(
        "identity-lost",
        up="alter table orders alter column id drop identity;"
        " create sequence orders_id_seq start with 5000 owned by orders.id;"
        " select setval('orders_id_seq', (select max(id) from orders));"
        " alter table orders alter column id set default nextval('orders_id_seq');",
        down="select 1;",
        good=False,
        because="it still counts, but is a default that anybody may drop",
        caught_by="schema",
    ),
    Way(
        "identity-of-the-other-kind",
        up="alter table customers alter column id set generated by default;",
        down="alter table customers alter column id set start with 1000;",
        good=False,
        because="the table lets anybody choose a number, which it did not",
        caught_by="schema",
    ),
    Way(
        "sequence-with-other-steps",
        up="alter table orders alter column invoice drop default; drop sequence invoice_number;"
        " create sequence invoice_number start with 500000 owned by orders.invoice;"
        " alter table orders alter column invoice set default nextval('invoice_number');",
        down="alter table orders alter column invoice drop default; drop sequence invoice_number;"
        " create sequence invoice_number start with 100000 owned by orders.invoice;"
        " select setval('invoice_number', (select max(invoice) from orders));"
        " alter table orders alter column invoice set default nextval('invoice_number');",
        good=False,
        because="invoice numbers went in steps of seven, from no less than a thousand",
        caught_by="schema",
    ),
    Way(
        "sequence-without-an-owner",
        up="alter table products alter column id drop default; drop sequence products_id_seq;"
        " alter table products alter column id add generated by default as identity (start with 100000);",
        down="alter table products alter column id drop identity;"
        " create sequence products_id_seq as integer;"
        " select setval('products_id_seq', (select max(id) from products));"
        " alter table products alter column id set default nextval('products_id_seq');",
        good=False,
        because="the sequence belongs to no column, and stays when its table goes",
        caught_by="schema",
    ),
    Way(
        "sequence-begun-where-another-stands",
        up="""
do $$
begin
  execute format('create sequence refund_number start with %s', (select last_value + 7 from invoice_number));
end $$;
""",
        down="drop sequence refund_number;",
        good=False,
        because="what it creates depends on the minute: the second time, and in production, it is another schema",
        caught_by="up again",
    ),
)

_AGAIN = (
    Way(
        "marker-in-a-comment",
        up="""
do $$
begin
  if obj_description('audit.entries'::regclass) is distinct from 'has reasons' then
    alter table audit.entries add column reason text;
    comment on table audit.entries is 'has reasons';
  end if;
end $$;
""",
        down="alter table audit.entries drop column reason;",
        good=False,
        because="the mark stays when the column goes, so that the second time nothing is done",
        caught_by="up again",
    ),
    Way(
        "cast-left-behind",
        up="""
create cast (order_state as varchar) with inout as implicit;
alter table orders add column reason varchar;
""",
        down="alter table orders drop column reason;",
        good=False,
        because="a cast belongs to no table and is easily forgotten, and the second way there finds it taken",
        caught_by="up again",
    ),
    Way(
        "collation-left-behind",
        up="""
create collation by_bytes (locale = 'C');
alter table products add column shelf_label text collate by_bytes;
""",
        down="alter table products drop column shelf_label;",
        good=False,
        because="the collation outlives the column that it was made for, and cannot be made a second time",
        caught_by="up again",
    ),
    Way(
        "copy-kept-from-the-first-time",
        up="""
create table zz_codes as select id, code from customers where code like 'B%';
update customers set code = 'b' || substr(code, 2) where code like 'B%';
""",
        down="update customers c set code = z.code from zz_codes z where z.id = c.id;",
        good=False,
        because="every row comes back, but the copy stays and the second way there cannot make it",
        caught_by="up again",
    ),
)

_PARTITIONS = (
    Way(
        "partition-left-detached",
        up="alter table events detach partition events_2024; create index events_2024_kind on events_2024 (kind);",
        down="drop index events_2024_kind;",
        good=False,
        because="a year of events is in the database and in no answer",
        caught_by="schema",
    ),
    Way(
        "partition-with-other-bounds",
        up="alter table events detach partition events_2024;",
        down="alter table events attach partition events_2024"
        " for values from ('2023-12-31 00:00+00') to ('2025-01-01 00:00+00');",
        good=False,
        because="the last day of 2023 belongs to the rest, and some of it is there",
        caught_by="down fails",
    ),
    Way(
        "partition-that-cannot-come-twice",
        up="create table events_2026 partition of events"
        " for values from ('2026-01-01 00:00+00') to ('2027-01-01 00:00+00');",
        down="""
alter table events detach partition events_2026;
insert into events select * from events_2026;
drop table events_2026;
""",
        good=False,
        because="every row is back, in the partition for the rest, and from there nobody fetches it the next time",
        new_smoke="insert into events values (100000, '2026-03-01 00:00+00', 'seen', null);",
        caught_by="up again",
    ),
    Way(
        "partition-dropped-with-its-rows",
        up="create table events_2026 partition of events"
        " for values from ('2026-01-01 00:00+00') to ('2027-01-01 00:00+00');",
        down="drop table events_2026;",
        good=False,
        because="what was written into the partition goes with it",
        new_smoke="insert into events values (100000, '2026-03-01 00:00+00', 'seen', null);",
        caught_by="writes",
    ),
)

BAD = (
    *_COLUMNS,
    *_TYPES,
    *_ROWS,
    *_RULES,
    *_INDEXES,
    *_CODE,
    *_NUMBERS,
    *_AGAIN,
    *_PARTITIONS,
)
