-- Users, workspaces, clusters, sessions, API keys and the audit trail.

CREATE TABLE identity.users (
    name text PRIMARY KEY,
    password_hash text NOT NULL,              -- argon2id, with its parameters
    global_admin boolean NOT NULL DEFAULT false,
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    password_changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_by_lower_name ON identity.users (lower(name));

CREATE TABLE identity.workspaces (
    name text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX workspaces_by_lower_name ON identity.workspaces (lower(name));

CREATE TABLE identity.memberships (
    workspace text NOT NULL REFERENCES identity.workspaces ON DELETE CASCADE,
    user_name text NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('member', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_name, workspace)
);
CREATE INDEX memberships_by_workspace ON identity.memberships (workspace);

CREATE TABLE identity.clusters (
    name text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE identity.cluster_admins (
    cluster text NOT NULL REFERENCES identity.clusters ON DELETE CASCADE,
    user_name text NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    PRIMARY KEY (user_name, cluster)
);

CREATE TABLE identity.sessions (
    token_sha256 bytea PRIMARY KEY,           -- the token itself is only in the browser's cookie
    user_name text NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL           -- the absolute limit
);
CREATE INDEX sessions_by_user ON identity.sessions (user_name);

CREATE TABLE identity.api_keys (
    key_id text PRIMARY KEY,
    secret_sha256 bytea NOT NULL,             -- of 256 random bits: no slow hash needed
    user_name text NOT NULL REFERENCES identity.users ON DELETE CASCADE,
    workspace text NOT NULL REFERENCES identity.workspaces ON DELETE CASCADE,
    name text NOT NULL,
    full_rights boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_by_user ON identity.api_keys (user_name);

CREATE TABLE identity.audit_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,                      -- who: a user's name, or `command line`
    via text NOT NULL,                        -- `session`, `key <id>`, `password`, `command line`
    from_address text,
    action text NOT NULL,                     -- what
    subject text NOT NULL,                    -- on which
    result text NOT NULL,                     -- `done`, or why not
    detail jsonb NOT NULL DEFAULT '{}'
);

CREATE FUNCTION identity.audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$;

CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON identity.audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION identity.audit_is_append_only();
CREATE TRIGGER audit_entries_are_not_truncated BEFORE TRUNCATE ON identity.audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION identity.audit_is_append_only();

INSERT INTO identity.workspaces (name) VALUES ('main');
