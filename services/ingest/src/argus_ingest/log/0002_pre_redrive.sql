-- Dead letters can be put through acceptance again (`argus-ingest redrive`).

-- producer_id, class, seqs: of a numbered message that was buried whole, the numbers that only this row accounts for.
-- redriven_at: when (a part of) it went into the log after all.
ALTER TABLE log.dead_letters
    ADD COLUMN producer_id text,
    ADD COLUMN class text,
    ADD COLUMN seqs int8multirange,
    ADD COLUMN redriven_at timestamptz;
