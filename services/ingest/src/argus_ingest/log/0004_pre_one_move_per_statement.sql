-- Whoever adds records still takes the next positions of the log, and with them the lock of the head until he commits; but the head
-- moves once per statement, not once per record: a commit of a thousand records made a thousand versions of its one row, and each
-- looked through all before it.
DROP TRIGGER take_positions ON log.record_batches;

CREATE OR REPLACE FUNCTION log.take_positions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first_taken bigint;
    next_free bigint;
    without_gap boolean;
BEGIN
    SELECT min(first_position), max(last_position) + 1, bool_and(last_position >= first_position AND first_position = starts_at)
      INTO first_taken, next_free, without_gap
      FROM (SELECT first_position, last_position,
                   lag(last_position + 1, 1, first_position) OVER (ORDER BY first_position, last_position) AS starts_at
              FROM added) AS in_order;
    IF first_taken IS NULL THEN
        RETURN NULL;  -- nothing was added
    END IF;
    UPDATE log.head SET next_position = next_free WHERE next_position = first_taken AND without_gap;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% to % are not the next positions of the log', first_taken, next_free - 1
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'lock log.head first, and go on from its next_position';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER take_positions AFTER INSERT ON log.record_batches
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION log.take_positions();

-- A statement that names a partition passes by the trigger above, so there are none.
CREATE FUNCTION log.refuse_to_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'records are added to log.record_batches, not to its partition %', TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state';
END $$;
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('log.record_batches') WHERE level > 0 LOOP
        EXECUTE format('CREATE TRIGGER refuse_to_add BEFORE INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_to_add()', part);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION log.make_day(wanted date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    retention_class text;
    partition_name text;
BEGIN
    FOREACH retention_class IN ARRAY ARRAY['lifecycle', 'metrics', 'snapshots', 'log_lines'] LOOP
        partition_name := format('record_batches_%s_%s', retention_class, to_char(wanted, 'YYYYMMDD'));
        IF to_regclass('log.' || partition_name) IS NULL THEN
            EXECUTE format('CREATE TABLE log.%I (LIKE log.record_batches INCLUDING ALL)', partition_name);
            EXECUTE format('CREATE TRIGGER refuse_to_add BEFORE INSERT ON log.%I FOR EACH STATEMENT'
                           ' EXECUTE FUNCTION log.refuse_to_add()', partition_name);
            EXECUTE format('ALTER TABLE log.%I ATTACH PARTITION log.%I FOR VALUES FROM (%L) TO (%L)',
                           'record_batches_' || retention_class, partition_name, wanted, wanted + 1);
        END IF;
    END LOOP;
END $$;
