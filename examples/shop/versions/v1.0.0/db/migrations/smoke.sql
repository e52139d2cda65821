-- The statements of this version, with plain values. The next version's schema must still answer them all.
select id, name, price_cents, stock from products order by id;
select id, name, price_cents, stock from products where id = 1;
insert into orders (key, product_id, quantity, total_cents) values ('smoke.sql', 1, 1, 1490) on conflict (key) do nothing returning id, key, product_id, quantity, total_cents;
select id, key, product_id, quantity, total_cents from orders where id = 1;
select id, key, product_id, quantity, total_cents from orders where key = 'smoke.sql';
