-- The one clock of every queue time. A test moves it by replacing the function.
create function vtoc.clock() returns timestamptz
language sql volatile parallel safe
as 'select clock_timestamp()';

grant execute on function vtoc.clock() to vtoc_queue, vtoc_station, vtoc_ops, vtoc_intel, vtoc_logistics, vtoc_maintenance;

comment on function vtoc.clock() is 'the database''s clock; in predicates write (select vtoc.clock()), or no index is used';
