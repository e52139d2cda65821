-- interlock: phase=expand tx=on timeout=30s
alter table orders add column channel text not null default 'web';
-- interlock: allow=not-null-scan reason="a few thousand orders are read in milliseconds"
-- interlock: allow=wrong-phase reason="every order has had a note since 1.1.0"
alter table orders alter column note set not null;
