drop table picks;
alter table orders drop column note;
