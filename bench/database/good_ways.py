"""Ways back that hold, the odd-looking ones among them: a prover that refuses one of these is of no use."""

from bench.database.way import Way

_OPEN_ORDERS = """
create view open_orders with (security_barrier) as
  select o.id, c.email, o.total, o.placed_at from orders o join customers c on c.id = o.customer_id
  where o.state in ('new', 'paid');
"""
_SALES = """
create materialized view sales as
  select product_id, sum(quantity) as sold, count(distinct order_id) as orders from items group by product_id;
create unique index sales_product on sales (product_id);
"""
_ORDER_TOTAL = """
create or replace function order_total(the_order bigint) returns bigint language sql stable as
$$ select coalesce(sum(quantity * price), 0)::bigint from items where order_id = the_order $$;
"""

_COLUMNS = (
    Way(
        "nullable-column",
        up="alter table orders add column gift_wrap boolean;",
        down="alter table orders drop column gift_wrap;",
        good=True,
        because="a nullable column is unknown to the old version, and goes as it came",
        new_smoke="update orders set gift_wrap = true where id = 5020;",
    ),
    Way(
        "required-column-with-default",
        up="alter table customers add column language text not null default 'en' check (language ~ '^[a-z]{2}$');",
        down="alter table customers drop column language;",
        good=True,
        because="the default answers for the old version, and the check goes with its column",
        new_smoke="insert into customers (email, language, created_at)"
        " values ('new@example.org', 'sv', '2025-06-01 12:00+02');",
    ),
    Way(
        "column-in-three-steps",
        up="""
alter table orders add column campaign text;
alter table orders alter column campaign set default '';
alter table orders disable trigger orders_touch;
update orders set campaign = coalesce(substring(coupon from '^[A-Z]+'), '');
alter table orders enable trigger orders_touch;
alter table orders alter column campaign set not null;
""",
        down="alter table orders drop column campaign;",
        good=True,
        because="the trigger that counts versions sleeps while the rows are filled, and is awake afterwards",
        new_smoke="insert into orders (customer_id, total, campaign, placed_at)"
        " values (1005, 1, 'SPRING', '2025-06-01 12:00+02');",
    ),
    Way(
        "dropped-column-with-copy",
        up="""
create table zz_dropped_fax as select id, fax from customers;
alter table customers drop column fax;
""",
        down="""
alter table customers add column fax text;
update customers c set fax = z.fax from zz_dropped_fax z where z.id = c.id;
drop table zz_dropped_fax;
""",
        good=True,
        because="every value comes back from the copy, NULL or empty as it was; only its place in the row is another",
    ),
    Way(
        "column-put-aside",
        up="alter table products rename column legacy_code to zz_dropped_legacy_code;",
        down="alter table products rename column zz_dropped_legacy_code to legacy_code;",
        good=True,
        because="no version uses the column, and a rename keeps what is in it",
        new_smoke="insert into products (sku, price) values ('NEW-1', 100);",
    ),
    Way(
        "column-moved-to-a-table",
        up="""
create table contacts (
  customer_id bigint primary key references customers on delete cascade,
  fax text not null
);
insert into contacts select id, fax from customers where fax is not null;
alter table customers drop column fax;
""",
        down="""
alter table customers add column fax text;
update customers c set fax = k.fax from contacts k where k.customer_id = c.id;
drop table contacts;
""",
        good=True,
        because="what the new version wrote into the new table comes back into the old column",
        new_smoke="insert into contacts (customer_id, fax) values (1004, '+31 20 999')"
        " on conflict (customer_id) do update set fax = excluded.fax;",
    ),
    Way(
        "two-names-kept-equal",
        up="""
alter table orders add column remark text;
alter table orders disable trigger orders_touch;
update orders set remark = note where note is not null;
alter table orders enable trigger orders_touch;
create function same_remark() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.note := coalesce(new.note, new.remark);
    new.remark := new.note;
  elsif new.remark is distinct from old.remark then
    new.note := new.remark;
  else
    new.remark := new.note;
  end if;
  return new;
end $$;
create trigger orders_same_remark before insert or update on orders for each row execute function same_remark();
""",
        down="""
drop trigger orders_same_remark on orders;
drop function same_remark();
alter table orders drop column remark;
""",
        good=True,
        because="a trigger writes each name's value under the other one, so that both versions see both",
        new_smoke="""
update orders set remark = 'from the new version' where id = 5030;
insert into orders (customer_id, total, remark, placed_at) values (1005, 1, 'new', '2025-06-01 12:00+02');
""",
    ),
    Way(
        "virtual-column",
        up="alter table items add column amount integer generated always as (quantity * price) virtual;",
        down="alter table items drop column amount;",
        good=True,
        because="a virtual column stores nothing",
    ),
    Way(
        "stored-column",
        up="alter table customers add column email_key text generated always as (lower(email)) stored;",
        down="alter table customers drop column email_key;",
        good=True,
        because="what is computed from other columns goes without a loss, although every row is written anew",
    ),
    Way(
        "stored-column-computed-anew",
        up="""
alter table products drop column gross;
alter table products add column gross bigint generated always as (price + price / 5) stored;
""",
        down="""
alter table products drop column gross;
alter table products add column gross bigint generated always as ((price * 121 + 50) / 100) stored;
""",
        good=True,
        because="a dropped column loses nothing when it can be computed again",
    ),
    Way(
        "default-added",
        up="alter table payments alter column method set default 'card';",
        down="alter table payments alter column method drop default;",
        good=True,
        because="the old version always says how it was paid, so that only the new one notices the default",
        new_smoke="insert into payments (id, order_id, amount, paid_at) values"
        " ('11111111-2222-3333-4444-555555555555', 5001, 1, '2025-06-01 12:00+02');",
    ),
    Way(
        "key-for-a-table-without-one",
        up="alter table visits add column id bigint generated always as identity primary key;",
        down="alter table visits drop column id;",
        good=True,
        because="the key, its sequence and its index go with the column, and equal rows stay as many as they were",
        new_smoke="delete from visits where id = 77;",
    ),
    Way(
        "not-null-validated-later",
        up="""
alter table products add constraint products_title_given not null title not valid;
alter table products validate constraint products_title_given;
""",
        down="alter table products drop constraint products_title_given;",
        good=True,
        because="every row has a title, both versions write one, and the column is nullable again",
    ),
    Way(
        "not-null-lifted-and-not-used-yet",
        up="alter table customers alter column full_name drop not null;",
        down="alter table customers alter column full_name set not null;",
        good=True,
        because="the rule is loosened for a later version; this one still writes a name into every row",
        new_smoke="update customers set full_name = 'Nobody' where id = 1040;",
    ),
)

_TYPES = (
    Way(
        "text-wider-and-back",
        up="alter table orders alter column coupon type text;",
        down="alter table orders alter column coupon type varchar(64);",
        good=True,
        because="whatever is written still fits into 64 letters",
        new_smoke="update orders set coupon = repeat('é', 64) where id = 5031;",
    ),
    Way(
        "integer-wider-and-back",
        up="alter table stock alter column reserved type bigint;",
        down="alter table stock alter column reserved type integer;",
        good=True,
        because="whatever is written still fits into four bytes, and the default is as it was",
        new_smoke="update stock set reserved = 2147483647 where warehouse = 'AMS' and product_id = 9;",
    ),
    Way(
        "numeric-finer-and-back",
        up="alter table customers alter column loyalty type numeric(15, 6);",
        down="alter table customers alter column loyalty type numeric(9, 3);",
        good=True,
        because="the new version reckons with three decimals as the old one does, so that nothing is rounded",
        new_smoke="update customers set loyalty = -0.001 where id = 1006;",
    ),
    Way(
        "timestamp-given-its-zone",
        up="alter table products alter column released type timestamptz using released at time zone 'UTC';",
        down="alter table products alter column released type timestamp using released at time zone 'UTC';",
        good=True,
        because="UTC has no hour twice, and it is named in both directions",
        new_smoke="update products set released = '2025-10-26 02:30+02' where id = 11;",
    ),
    Way(
        "enum-replaced-by-a-check",
        up=f"""
drop view open_orders;
drop index orders_open;
alter table orders alter column state drop default, alter column state type text using state::text;
alter table orders alter column state set default 'new';
alter table orders add constraint orders_state_known check (state in ('new', 'paid', 'shipped', 'cancelled'));
create index orders_open on orders (placed_at) where state in ('new', 'paid');
{_OPEN_ORDERS}
""",
        down=f"""
drop view open_orders;
drop index orders_open;
alter table orders drop constraint orders_state_known;
alter table orders alter column state drop default, alter column state type order_state using state::order_state;
alter table orders alter column state set default 'new';
create index orders_open on orders (placed_at) where state in ('new', 'paid');
{_OPEN_ORDERS}
""",
        good=True,
        because="the check allows what the enum allowed, and all that hung on the column is made again",
        new_smoke="insert into orders (customer_id, state, total, placed_at)"
        " values (1005, 'cancelled', 1, '2025-06-01 12:00+02');",
    ),
    Way(
        "enum-value-added-and-type-made-anew",
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
        good=True,
        because="no version writes the new value before the next release, so that the old type holds every row",
        new_smoke="update orders set state = 'shipped' where id = 5036;",
    ),
    Way(
        "domain-replaced-by-a-check",
        up=f"""
drop view open_orders;
alter table orders alter column total type bigint;
alter table orders add constraint orders_total_not_negative check (total >= 0);
{_OPEN_ORDERS}
""",
        down=f"""
drop view open_orders;
alter table orders drop constraint orders_total_not_negative;
alter table orders alter column total type cents;
{_OPEN_ORDERS}
""",
        good=True,
        because="the check asks what the domain asked, and the domain is put back",
        new_smoke="update orders set total = 9223372036854775807 where id = 5032;",
    ),
    Way(
        "domain-loosened-and-back",
        up="""
alter domain cents drop constraint cents_not_negative;
alter domain cents add constraint cents_in_reach check (value >= -1000000) not valid;
alter domain cents validate constraint cents_in_reach;
""",
        down="""
alter domain cents drop constraint cents_in_reach;
alter domain cents add constraint cents_not_negative check (value >= 0) not valid;
alter domain cents validate constraint cents_not_negative;
""",
        good=True,
        because="nobody wrote a negative amount yet, and the old check is validated again",
        new_smoke="update orders set total = 0 where id = 5033;",
    ),
    Way(
        "collation-and-back",
        up='alter table customers alter column code type text collate pg_catalog."default";',
        down='alter table customers alter column code type text collate "C";',
        good=True,
        because="a collation changes the order of values, not the values, and it is named on the way back",
        new_smoke="update customers set code = 'Ωmega' where id = 1041;",
    ),
)

_ROWS = (
    Way(
        "rewritten-with-a-copy",
        up="""
create table zz_emails as select id, email from customers where email <> lower(email) and email not ilike 'twin@%';
update customers c set email = lower(c.email) from zz_emails z where z.id = c.id;
""",
        down="""
update customers c set email = z.email from zz_emails z where z.id = c.id and c.email = lower(z.email);
drop table zz_emails;
""",
        good=True,
        because="each address comes back from the copy, except where a version has written another one since",
        new_smoke="update customers set email = 'changed.since@example.org' where id = 1009;",
    ),
    Way(
        "rewritten-with-an-exact-inverse",
        up="update customers set fax = replace(fax, '+31 20 ', '020-') where fax like '+31 20 %';",
        down="update customers set fax = replace(fax, '020-', '+31 20 ') where fax like '020-%';",
        good=True,
        because="no number began with 020- before, and no version writes one meanwhile",
    ),
    Way(
        "rows-deleted-with-a-copy",
        up="""
create table zz_dropped_visits as select * from visits where seen < '2020-01-01';
delete from visits where seen < '2020-01-01';
""",
        down="""
insert into visits select * from zz_dropped_visits;
drop table zz_dropped_visits;
""",
        good=True,
        because="equal rows are copied as often as they are there, and no version touches visits that old",
        new_smoke="insert into visits values (1001, null, -1, '2025-06-02');",
    ),
    Way(
        "key-of-a-document-put-aside",
        up="""
create table zz_themes as select id, settings -> 'theme' as theme from customers where settings ? 'theme';
update customers set settings = settings - 'theme' where settings ? 'theme';
""",
        down="""
update customers c set settings = jsonb_build_object('theme', z.theme) || c.settings
  from zz_themes z where z.id = c.id;
drop table zz_themes;
""",
        good=True,
        because="the key comes back with its value, a JSON null too, and a newer one wins over the copy",
        new_smoke='update customers set settings = settings || \'{"font": "serif"}\' where id = 1009;',
    ),
    Way(
        "table-made-anew-and-filled-back",
        up="""
alter table visits rename to zz_dropped_visits;
create table visits (customer_id bigint, page text, seconds integer, seen date) partition by range (seen);
create table visits_before_2023 partition of visits for values from (minvalue) to ('2023-01-01');
create table visits_since_2023 partition of visits default;
insert into visits select * from zz_dropped_visits;
""",
        down="""
alter table visits rename to zz_new_visits;
alter table zz_dropped_visits rename to visits;
truncate visits;
insert into visits select customer_id, page, seconds, seen from zz_new_visits;
drop table zz_new_visits;
""",
        good=True,
        because="the old table is emptied only to be filled from the one that was written since",
        new_smoke="insert into visits values (1001, '', 0, '2022-12-31'), (1001, '', 0, '2022-12-31');",
    ),
    Way(
        "table-put-aside-by-name",
        up="alter table old_carts rename to zz_dropped_old_carts;",
        down="alter table zz_dropped_old_carts rename to old_carts;",
        good=True,
        because="no version uses the table, and its rows, index and foreign key follow its name",
    ),
    Way(
        "table-put-aside-by-schema",
        up="create schema zz_dropped; alter table old_carts set schema zz_dropped;",
        down="alter table zz_dropped.old_carts set schema public; drop schema zz_dropped;",
        good=True,
        because="no version uses the table, and another schema keeps it whole",
    ),
    Way(
        "seeded-rows",
        up="""
insert into products (sku, title, price) values ('GIFT-0001', 'Voucher', 2500), ('GIFT-0002', 'Voucher', 5000)
  on conflict (sku) do nothing;
""",
        down="delete from products where sku in ('GIFT-0001', 'GIFT-0002');",
        good=True,
        because="the rows that are taken away are those that were brought",
        new_smoke="select price from products where sku = 'GIFT-0001';",
    ),
)

_RULES = (
    Way(
        "check-made-anew-validated-later",
        up="""
alter table payments drop constraint payments_method_known;
alter table payments add constraint payments_method_known
  check (method in ('card', 'cash', 'transfer', 'voucher')) not valid;
alter table payments validate constraint payments_method_known;
""",
        down="""
alter table payments drop constraint payments_method_known;
alter table payments add constraint payments_method_known check (method in ('card', 'cash', 'transfer')) not valid;
alter table payments validate constraint payments_method_known;
""",
        good=True,
        because="a constraint that was added unchecked and then validated is as good as one from the start",
        new_smoke="insert into payments (id, order_id, amount, method, paid_at) values"
        " ('11111111-2222-3333-4444-555555555555', 5001, 1, 'transfer', '2025-06-01 12:00+02');",
    ),
    Way(
        "foreign-key-validated-later",
        up="""
alter table stock drop constraint stock_product_id_fkey;
alter table stock add constraint stock_product_id_fkey
  foreign key (product_id) references products on delete cascade not valid;
alter table stock validate constraint stock_product_id_fkey;
""",
        down="""
alter table stock drop constraint stock_product_id_fkey;
alter table stock add constraint stock_product_id_fkey foreign key (product_id) references products not valid;
alter table stock validate constraint stock_product_id_fkey;
""",
        good=True,
        because="the key deletes as before again, and is validated",
    ),
    Way(
        "foreign-key-added-unchecked",
        up="""
alter table old_carts add column product_id integer;
alter table old_carts add constraint old_carts_product_id_fkey foreign key (product_id) references products not valid;
""",
        down="alter table old_carts drop column product_id;",
        good=True,
        because="the foreign key goes with its column",
    ),
    Way(
        "foreign-key-no-longer-deferred",
        up="alter table payments alter constraint payments_order_id_fkey not deferrable;",
        down="alter table payments alter constraint payments_order_id_fkey deferrable initially deferred;",
        good=True,
        because="it waits for the end of the transaction again",
    ),
    Way(
        "foreign-key-not-enforced-for-a-while",
        up="alter table items alter constraint items_product_id_fkey not enforced;",
        down="alter table items alter constraint items_product_id_fkey enforced;",
        good=True,
        because="PostgreSQL looks at every row when it enforces the key again, and all of them fit",
        new_smoke="insert into items (order_id, line, product_id, price) values (5001, 90, 5, 1);",
    ),
    Way(
        "constraint-renamed-and-back",
        up="alter table stock rename constraint stock_shelf_key to stock_one_per_shelf;",
        down="alter table stock rename constraint stock_one_per_shelf to stock_shelf_key;",
        good=True,
        because="the index behind it is renamed with it, both times",
    ),
    Way(
        "unique-from-an-index",
        up="""
-- interlock: tx=off
create unique index concurrently orders_invoice_key on orders (invoice);
alter table orders add constraint orders_invoice_key unique using index orders_invoice_key;
""",
        down="alter table orders drop constraint orders_invoice_key;",
        good=True,
        because="the constraint takes the index with it when it goes",
    ),
    Way(
        "row-security",
        up="""
alter table payments enable row level security;
create policy payments_all on payments using (true);
""",
        down="""
drop policy payments_all on payments;
alter table payments disable row level security;
""",
        good=True,
        because="both the policy and the switch are taken back",
    ),
)

_INDEXES = (
    Way(
        "index-concurrently",
        up="-- interlock: tx=off\ncreate index concurrently orders_channel on orders (channel);",
        down="-- interlock: tx=off\ndrop index concurrently orders_channel;",
        good=True,
        because="an index that was built beside the traffic goes beside the traffic",
    ),
    Way(
        "index-replaced",
        up="""
drop index orders_customer_placed;
create index orders_customer_placed_total on orders (customer_id, placed_at desc) include (total);
""",
        down="""
create index orders_customer_placed on orders using btree (customer_id, placed_at desc);
drop index orders_customer_placed_total;
""",
        good=True,
        because="the old index is built again, with the order of its columns",
    ),
    Way(
        "index-only-if-missing",
        up="create index if not exists items_discount on items (discount) where discount is not null;",
        down="drop index if exists items_discount;",
        good=True,
        because="it was missing before, and is missing again",
    ),
    Way(
        "index-built-anew",
        up="-- interlock: tx=off\nreindex index concurrently customers_lower_name;",
        down="select 1;",
        good=True,
        because="there is nothing to take back: the index only has another file",
    ),
    Way(
        "statistics",
        up="create statistics items_price (mcv) on product_id, price from items; analyze items;",
        down="drop statistics items_price;",
        good=True,
        because="statistics change plans, not answers",
    ),
    Way(
        "storage-parameters",
        up="alter table visits set (autovacuum_vacuum_scale_factor = 0.02);"
        " alter table customers set (fillfactor = 70);",
        down="alter table visits reset (autovacuum_vacuum_scale_factor); alter table customers set (fillfactor = 90);",
        good=True,
        because="what had a value has it again, and what had none has none",
    ),
)

_CODE = (
    Way(
        "view-with-one-more-column",
        up="""
create or replace view open_orders with (security_barrier) as
  select o.id, c.email, o.total, o.placed_at, o.channel from orders o join customers c on c.id = o.customer_id
  where o.state in ('new', 'paid');
""",
        down=f"drop view open_orders; {_OPEN_ORDERS}",
        good=True,
        because="a view has no rows of its own: to drop it and to make it again as it was loses nothing",
        new_smoke="select id, channel from open_orders order by id limit 1;",
    ),
    Way(
        "materialized-view-made-anew",
        up="""
drop materialized view sales;
create materialized view sales as
  select product_id, sum(quantity) as sold, count(distinct order_id) as orders, sum(quantity * price) as cents
  from items group by product_id;
create unique index sales_product on sales (product_id);
""",
        down=f"drop materialized view sales; {_SALES}",
        good=True,
        because="it is filled when it is made, and has its index again",
        new_smoke="refresh materialized view concurrently sales;",
    ),
    Way(
        "function-replaced-and-restored",
        up="""
create or replace function order_total(the_order bigint) returns bigint language sql stable as
$$ select coalesce(sum(quantity * price * (1 - coalesce(discount, 0) / 100)), 0)::bigint
   from items where order_id = the_order $$;
""",
        down=_ORDER_TOTAL,
        good=True,
        because="the body that is put back is the one that was there, letter by letter",
        new_smoke="select order_total(5011);",
    ),
    Way(
        "function-for-other-arguments",
        up="""
create function order_total(the_order bigint, until timestamptz) returns bigint language sql stable as
$$ select order_total(id) from orders where id = the_order and placed_at < until $$;
""",
        down="drop function order_total(bigint, timestamptz);",
        good=True,
        because="both functions can be told apart by what they are called with",
        new_smoke="select order_total(5011, '2025-06-01 12:00+02');",
    ),
    Way(
        "trigger-into-a-new-table",
        up="""
create table stock_moves (warehouse text not null, product_id integer not null, by integer not null);
create function move_stock() returns trigger language plpgsql as $$
begin
  insert into stock_moves values (new.warehouse, new.product_id, new.amount - old.amount);
  return null;
end $$;
create trigger stock_moved after update on stock for each row when (new.amount <> old.amount)
  execute function move_stock();
""",
        down="""
drop trigger stock_moved on stock;
drop function move_stock();
drop table stock_moves;
""",
        good=True,
        because="the trigger writes only into what goes with it",
        new_smoke="update stock set amount = amount - 1 where warehouse = 'AMS' and product_id = 12;",
    ),
    Way(
        "trigger-function-replaced",
        up="""
alter table orders add column changed_by text;
create or replace function touch() returns trigger language plpgsql as
$$ begin new.version := old.version + 1; new.changed_by := coalesce(new.changed_by, 'somebody'); return new; end $$;
""",
        down="""
create or replace function touch() returns trigger language plpgsql as
$$ begin new.version := old.version + 1; return new; end $$;
alter table orders drop column changed_by;
""",
        good=True,
        because="the old body is back before the column goes that only the new one writes",
        new_smoke="update orders set changed_by = 'clerk 3' where id = 5040;",
    ),
    Way(
        "table-renamed-behind-a-view",
        up="""
alter table customers rename to clients;
create view customers as select * from clients;
""",
        down="""
drop view customers;
alter table clients rename to customers;
""",
        good=True,
        because="the old name is a view that hands reads and writes on, and what hangs on the table follows it",
        new_smoke="""
insert into clients (email, full_name, created_at) values ('client@example.org', 'A client', '2025-06-01 12:00+02');
update clients set phone = null where id = 1010;
delete from clients where email = 'begin';
""",
    ),
    Way(
        "comment-left-behind",
        up="""
comment on table orders is 'since 2.0: notes are shown to the customer';
comment on column orders.note is 'shown to the customer';
""",
        down="select 1;",
        good=True,
        because="a comment is no part of what a version relies on",
    ),
    Way(
        "new-table-with-a-foreign-key",
        up="""
create table refunds (
  id bigint generated always as identity primary key,
  order_id bigint not null references orders on delete cascade,
  amount cents not null,
  reason text not null default ''
);
create index refunds_order on refunds (order_id);
""",
        down="drop table refunds;",
        good=True,
        because="the old version does not know the table, and its foreign key lets orders go",
        new_smoke="insert into refunds (order_id, amount) values (5001, 100);",
    ),
)

_NUMBERS = (
    Way(
        "sequence-that-moved-on",
        up="alter sequence invoice_number cache 20;",
        down="alter sequence invoice_number cache 1;",
        good=True,
        because="a sequence leaves gaps anyway: where it stands now is no part of the schema",
        new_smoke="select nextval('invoice_number');",
    ),
    Way(
        "serial-to-identity-and-back",
        up="""
alter table products alter column id drop default;
drop sequence products_id_seq;
alter table products alter column id add generated by default as identity;
select setval('products_id_seq', (select max(id) from products));
""",
        down="""
alter table products alter column id drop identity;
create sequence products_id_seq as integer owned by products.id;
select setval('products_id_seq', (select max(id) from products));
alter table products alter column id set default nextval('products_id_seq');
""",
        good=True,
        because="the sequence has its type, its owner and a number above all that were given",
        new_smoke="insert into products (sku, price) values ('NEW-2', 100);",
    ),
    Way(
        "identity-by-default-for-a-while",
        up="alter table customers alter column id set generated by default;",
        down="alter table customers alter column id set generated always;",
        good=True,
        because="rows with a given number stay when numbers are given by the table again",
        new_smoke="insert into customers (id, email, created_at)"
        " values (7, 'seven@example.org', '2025-06-01 12:00+02');",
    ),
)

_PARTITIONS = (
    Way(
        "partition-added",
        up="""
create table events_2026 (like events including all);
insert into events_2026 select * from events where at >= '2026-01-01 00:00+00' and at < '2027-01-01 00:00+00';
delete from events where at >= '2026-01-01 00:00+00' and at < '2027-01-01 00:00+00';
alter table events attach partition events_2026 for values from ('2026-01-01 00:00+00') to ('2027-01-01 00:00+00');
""",
        down="""
alter table events detach partition events_2026;
insert into events select * from events_2026;
drop table events_2026;
""",
        good=True,
        because="what was written into the new partition goes into the one for the rest, and from there to and fro",
        new_smoke="insert into events values (100000, '2026-03-01 00:00+00', 'seen', null);",
    ),
    Way(
        "partition-detached-and-back",
        up="alter table events detach partition events_2024;",
        down="alter table events attach partition events_2024"
        " for values from ('2024-01-01 00:00+00') to ('2025-01-01 00:00+00');",
        good=True,
        because="the old version reads only what is newer, and the partition comes back with its bounds and indexes",
        new_smoke="insert into events values (100001, '2025-03-01 00:00+00', 'seen', null);",
    ),
)

GOOD = (
    *_COLUMNS,
    *_TYPES,
    *_ROWS,
    *_RULES,
    *_INDEXES,
    *_CODE,
    *_NUMBERS,
    *_PARTITIONS,
)
