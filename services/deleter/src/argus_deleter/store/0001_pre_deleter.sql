-- What the deleter knows beside its decisions. The decisions themselves are events of the library's table `decisions`.

-- Each deletion as its last decision left it: written in the transaction of that decision.
CREATE TABLE deleter.deletions (
    deletion_id text PRIMARY KEY,
    batch_id text NOT NULL,
    workspace text NOT NULL,
    user_name text NOT NULL,
    state text NOT NULL,
    look_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    waits_for text
) WITH (fillfactor = 80);
-- One deletion at a time is on its way for a run, whoever decides.
CREATE UNIQUE INDEX deletions_in_flight ON deleter.deletions (batch_id) WHERE state IN ('requested', 'planned', 'running');
CREATE INDEX deletions_to_look_at ON deleter.deletions (look_at) WHERE state IN ('requested', 'planned', 'running');

-- The manifest, and what became of each part of it. docs/deleting.md has the canonical text.
-- entries: zstd of one JSON array a line. ranges: where they were listed.
-- first_look: set before the first delete call of the part: which entries were not as in the manifest then.
-- The columns from done_at on are set together, when the store has answered for every entry.
CREATE TABLE deleter.manifest_parts (
    deletion_id text NOT NULL REFERENCES deleter.deletions,
    number integer NOT NULL,
    n_entries integer NOT NULL,
    bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    entries bytea NOT NULL,
    ranges jsonb NOT NULL,
    first_look jsonb,
    done_at timestamptz,
    n_deleted integer,
    bytes_freed bigint,
    n_changed integer,
    n_gone integer,
    n_refused integer,
    errors jsonb,
    PRIMARY KEY (deletion_id, number)
) WITH (fillfactor = 80);
ALTER TABLE deleter.manifest_parts ALTER COLUMN entries SET STORAGE EXTERNAL;

-- Every command that was decided, with its answer: the same command again gets the same answer.
CREATE TABLE deleter.commands (
    command_id uuid PRIMARY KEY,
    verb text NOT NULL,
    raw bytea NOT NULL,
    decision jsonb NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now()
);

-- What could not be read or decided as a command, as it came.
CREATE TABLE deleter.bad_commands (
    fingerprint bytea PRIMARY KEY,
    subject text NOT NULL,
    reason text NOT NULL,
    raw bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);

-- Runs whose outputs are to be listed, or could not be.
CREATE TABLE deleter.measurements (
    batch_id text PRIMARY KEY,
    output_dir text,
    ended_at timestamptz,
    look_at timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    problem text,
    is_done boolean NOT NULL DEFAULT false
) WITH (fillfactor = 80);
CREATE INDEX measurements_to_look_at ON deleter.measurements (look_at) WHERE NOT is_done;

-- Up to which decision everything has been said to the log.
CREATE TABLE deleter.outbox (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    notification_id bigint NOT NULL
);
INSERT INTO deleter.outbox (notification_id) VALUES (0);
