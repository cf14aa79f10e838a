-- Which end of the run was measured: by its place in the log, because the run's clock may be wrong.
ALTER TABLE deleter.measurements ADD COLUMN lifecycle_position bigint;
ALTER TABLE deleter.measurements DROP COLUMN ended_at;
