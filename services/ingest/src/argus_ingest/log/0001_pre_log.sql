-- The log: what was accepted, once, in the order of its commit.

-- The only lock of an append: whoever holds this row hands out positions, so position order is commit order.
CREATE TABLE log.head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    next_position bigint NOT NULL,
    received_at timestamptz NOT NULL
) WITH (fillfactor = 50);
INSERT INTO log.head (next_position, received_at) VALUES (1, now());

-- One row is one sender batch. Event i of the row has position first_position + i.
-- payload: zstd of the JSON object {"events": [...]} (other fields beside "events" mean nothing).
-- Partitioned by retention class and day, so that retention drops partitions.
CREATE TABLE log.record_batches (
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    n_events integer NOT NULL,
    class text NOT NULL,
    day date NOT NULL,
    received_at timestamptz NOT NULL,
    workspace text NOT NULL,
    user_name text NOT NULL,
    batch_id text NOT NULL,
    producer_id text,
    payload bytea NOT NULL,
    PRIMARY KEY (first_position, class, day)
) PARTITION BY LIST (class);
CREATE INDEX record_batches_of_batch ON log.record_batches (batch_id, last_position);
-- The payload is compressed already.
ALTER TABLE log.record_batches ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE log.record_batches_lifecycle PARTITION OF log.record_batches FOR VALUES IN ('lifecycle') PARTITION BY RANGE (day);
CREATE TABLE log.record_batches_metrics PARTITION OF log.record_batches FOR VALUES IN ('metrics') PARTITION BY RANGE (day);
CREATE TABLE log.record_batches_snapshots PARTITION OF log.record_batches FOR VALUES IN ('snapshots') PARTITION BY RANGE (day);
CREATE TABLE log.record_batches_log_lines PARTITION OF log.record_batches FOR VALUES IN ('log_lines') PARTITION BY RANGE (day);

-- Whom a batch belongs to: whoever had its first event accepted.
CREATE TABLE log.batches (
    batch_id text PRIMARY KEY,
    workspace text NOT NULL,
    user_name text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now()
);

-- Which seq of each producer are dealt with (in the log, or in dead_letters): a re-send is recognised for ever,
-- and a gap is known.
CREATE TABLE log.producers (
    workspace text NOT NULL,
    user_name text NOT NULL,
    producer_id text NOT NULL,
    class text NOT NULL,
    batch_id text NOT NULL,
    received int8multirange NOT NULL,
    missing bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, user_name, producer_id, class)
) WITH (fillfactor = 70);
CREATE INDEX producers_of_batch ON log.producers (batch_id);
CREATE INDEX producers_with_gaps ON log.producers (missing) WHERE missing > 0;

-- Senders without seq are recognised by event_id. Within a batch, so that nobody can use up somebody else's id.
CREATE TABLE log.event_ids (
    event_id uuid NOT NULL,
    batch_id text NOT NULL,
    PRIMARY KEY (event_id, batch_id)
);

-- What could never be accepted, with the reason and the bytes as they came.
CREATE TABLE log.dead_letters (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea NOT NULL UNIQUE,
    received_at timestamptz NOT NULL DEFAULT now(),
    code text NOT NULL,
    reason text NOT NULL,
    subject text NOT NULL,
    workspace text,
    user_name text,
    raw bytea NOT NULL
);
CREATE INDEX dead_letters_by_time ON log.dead_letters (received_at);

-- The partitions of one day. Attached, not created in place: that takes a weaker lock, so readers go on.
CREATE FUNCTION log.make_day(wanted date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    retention_class text;
    partition_name text;
BEGIN
    FOREACH retention_class IN ARRAY ARRAY['lifecycle', 'metrics', 'snapshots', 'log_lines'] LOOP
        partition_name := format('record_batches_%s_%s', retention_class, to_char(wanted, 'YYYYMMDD'));
        IF to_regclass('log.' || partition_name) IS NULL THEN
            EXECUTE format('CREATE TABLE log.%I (LIKE log.record_batches INCLUDING ALL)', partition_name);
            EXECUTE format('ALTER TABLE log.%I ATTACH PARTITION log.%I FOR VALUES FROM (%L) TO (%L)',
                           'record_batches_' || retention_class, partition_name, wanted, wanted + 1);
        END IF;
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA log TO argus_log_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA log TO argus_log_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA log GRANT SELECT ON TABLES TO argus_log_reader;
