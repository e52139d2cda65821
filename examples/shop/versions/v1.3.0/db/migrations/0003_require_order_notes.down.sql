alter table orders alter column note drop not null;
alter table orders drop column channel;
