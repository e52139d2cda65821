-- The statements of this version, with plain values. The next version's schema must still answer them all.
select id, name, price_cents, stock from products order by id;
select id, name, price_cents, stock from products where id = 1;
select product_id, headline from picks;
insert into orders (key, product_id, quantity, total_cents, channel, note) values ('smoke.sql', 1, 1, 1490, 'api', null) on conflict (key) do nothing returning id, key, product_id, quantity, total_cents, channel, note;
select id, key, product_id, quantity, total_cents, channel, note from orders where id = 1;
select id, key, product_id, quantity, total_cents, channel, note from orders where key = 'smoke.sql';
