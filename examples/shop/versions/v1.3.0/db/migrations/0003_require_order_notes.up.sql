-- interlock: phase=expand tx=on timeout=30s
alter table orders add column channel text not null default 'web';
alter table orders alter column note set not null;
