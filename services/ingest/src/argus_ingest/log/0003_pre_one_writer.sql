-- Whoever adds a record takes the next positions of the log, and with them the lock of the head until he commits: there is no
-- second way to write, so a reader that follows the positions never misses one, whoever wrote it (an import, a repair, a bug).
CREATE FUNCTION log.take_positions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE log.head SET next_position = NEW.last_position + 1 WHERE next_position = NEW.first_position;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is not the next position of the log', NEW.first_position
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'lock log.head first, and go on from its next_position';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER take_positions BEFORE INSERT ON log.record_batches FOR EACH ROW EXECUTE FUNCTION log.take_positions();
