-- interlock: phase=expand tx=on timeout=30s
create table products (
    id          integer primary key,
    name        text    not null,
    price_cents integer not null check (price_cents > 0),
    stock       integer not null check (stock >= 0)
);

create table orders (
    id          bigint generated always as identity primary key,
    key         text        not null unique,
    product_id  integer     not null references products (id),
    quantity    integer     not null check (quantity > 0),
    total_cents integer     not null check (total_cents >= 0),
    placed_at   timestamptz not null default now()
);

insert into products (id, name, price_cents, stock) values
    ( 1, 'Enamel mug',              1490, 120),
    ( 2, 'Brass whistle',           2250,  48),
    ( 3, 'Signal lamp',             8900,  12),
    ( 4, 'Pocket timetable',         650, 300),
    ( 5, 'Station clock',          14900,   8),
    ( 6, 'Ticket punch',            3490,  35),
    ( 7, 'Conductor''s cap',        4200,  27),
    ( 8, 'Semaphore poster',        1890, 140),
    ( 9, 'Track gauge ruler',       1150,  85),
    (10, 'Night train blanket',     5900,  40),
    (11, 'Dining car espresso',     1290, 210),
    (12, 'Point lever bookend',     6400,   4),
    (13, 'Platform bench',         32500,   5),
    (14, 'Luggage tag',              890, 260),
    (15, 'Model railcar',           7900,  18),
    (16, 'Tunnel jigsaw',           2790,  64),
    (17, 'Linesman''s gloves',      1990,  90),
    (18, 'Compartment curtain',     3900,  22),
    (19, 'Signal box key ring',      990, 180),
    (20, 'Wheel tapper''s hammer',  2950,   5);
