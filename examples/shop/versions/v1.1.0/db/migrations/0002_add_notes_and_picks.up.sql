-- interlock: phase=expand tx=on timeout=30s
alter table orders add column note text;

create table picks (
    product_id integer primary key,
    headline   text not null
);

insert into picks (product_id, headline) values
    ( 3, 'Seen from a mile away'),
    (11, 'Tastes of somewhere else'),
    (16, 'Dark in the middle');
