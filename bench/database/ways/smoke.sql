-- The statements of the old version. They can be run again and again, and what they write depends on no clock.

select id, email, full_name, phone, country, code, loyalty, born, tags, settings, created_at from customers where id = 1003;
select id, full_name from customers where lower(full_name) = lower('Zoë Ångström') order by id;
select email, note from customers join orders on customers.id = customer_id where orders.id = 5011;
insert into customers (email, full_name, phone, country, settings, created_at) select format('smoke.%s@Example.org', count(*) filter (where email like 'smoke.%')), 'Smoke Test', '0031 6 00000000', 'DE', '{"theme": "dark"}', '2025-06-01 12:00+02' from customers returning id;
insert into customers (email, created_at) select format('plain.%s@example.org', count(*) filter (where email like 'plain.%')), '2025-06-01 12:00+02' from customers returning id, full_name, country, loyalty, tags;
update customers set email = format('Moved.%s@Example.org', length(email)), phone = '0031 6 1' where id = 1003;
update customers set settings = settings || '{"news": true}', loyalty = loyalty + 1.125 where id = 1004;

select id, sku, title, price, gross, active, released from products where sku = 'SKU-00003';
insert into products (sku, title, price, weight) select format('smoke-%s', count(*) filter (where sku like 'smoke-%')), 'Smoke', 1490, 0.25 from products returning id, gross, active;
update products set price = price + 1, attributes = '{"colour": "blue"}' where id = 4;
select warehouse, amount - reserved from stock where product_id = 3 order by warehouse;
insert into stock (warehouse, product_id, shelf, amount) values ('AMS', 3, -98, 1) on conflict (warehouse, product_id) do update set amount = stock.amount + excluded.amount;
update stock set reserved = reserved + 1 where warehouse = 'zürich' and product_id = 8;

select id, email, total, placed_at from open_orders order by placed_at, id limit 20;
select id, state, total, note, coupon, channel, version from orders where customer_id = 1007 order by placed_at desc;
insert into orders (customer_id, total, placed_at) values (1003, 1490, '2025-06-01 12:00+02') returning id, state, invoice, channel, version;
insert into orders (customer_id, state, total, note, coupon, channel, placed_at) values (1004, 'paid', 990, 'Ring twice', 'SMOKE', 'phone', '2025-06-01 12:01+02') returning id;
update orders set state = 'paid', note = coalesce(note, '') || 'é' where id = 5008;
update orders set state = 'shipped', shipped_at = placed_at + interval '1 day' where id = 5009;
select order_id, line, product_id, quantity, price, discount from items where order_id = 5008 order by line;
insert into items (order_id, line, product_id, price) select 5008, max(line) + 1, 3, 990 from items where order_id = 5008;
delete from items where order_id = 5014 and line = 1;
select order_total(5008);
select product_id, sold, orders from sales order by sold desc, product_id limit 5;

select method, currency, sum(amount) from payments group by method, currency order by 1, 2;
insert into payments (id, order_id, amount, method, reference, paid_at) select md5(format('smoke %s', count(*)))::uuid, 5008, 14.9000, 'card', 'smoke', '2025-06-01 12:02+02' from payments where reference = 'smoke';
select count(*) from audit.entries where who = 'till';

select kind, count(*) from events where at >= '2025-01-01 00:00+00' group by kind order by kind;
insert into events (id, at, kind, payload) select max(id) + 1, '2025-06-01 12:03+02', 'seen', '{"page": "/smoke"}' from events;
select page, count(*), sum(seconds) from visits where seen > '2023-01-01' group by page order by page;
insert into visits (customer_id, page, seconds, seen) values (1003, '/', 75, '2025-06-01'), (1003, '/', 75, '2025-06-01');
delete from visits where customer_id = 1004 and page = '/leave' and seen > '2023-01-01';
select * from samples order by name;
