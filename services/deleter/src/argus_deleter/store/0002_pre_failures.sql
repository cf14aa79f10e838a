-- Tries that failed for no passing reason since the deletion came into its state.
ALTER TABLE deleter.deletions ADD COLUMN failures integer NOT NULL DEFAULT 0;
