-- A row per deletion of a run's outputs: what the list of somebody's deletions is found by, and all that is remembered.
CREATE TABLE deletions (
    batch_id     text COLLATE "C" NOT NULL,
    deletion_id  text COLLATE "C" NOT NULL,
    workspace    text NOT NULL,
    owner        text NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    state        text NOT NULL,
    in_flight    boolean NOT NULL,
    known        json NOT NULL,
    PRIMARY KEY (batch_id, deletion_id)
);

CREATE INDEX deletions_by_id ON deletions (deletion_id);
CREATE INDEX deletions_by_who_asked ON deletions (requested_by, requested_at);
CREATE INDEX deletions_in_flight ON deletions (requested_by) WHERE in_flight;
CREATE INDEX deletions_by_owner ON deletions (owner, requested_at);
CREATE INDEX deletions_in_flight_by_owner ON deletions (owner) WHERE in_flight;
