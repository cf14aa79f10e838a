-- name: select_session
-- Who a session belongs to, unless it or its user has ended.
SELECT u.name, u.global_admin, s.last_seen_at < now() - interval '1 minute' AS touch,
       coalesce((SELECT jsonb_object_agg(m.workspace, m.role) FROM identity.memberships m WHERE m.user_name = u.name), '{}') AS memberships,
       coalesce((SELECT jsonb_agg(c.cluster) FROM identity.cluster_admins c WHERE c.user_name = u.name), '[]') AS clusters
FROM identity.sessions s JOIN identity.users u ON u.name = s.user_name
WHERE s.token_sha256 = %(token_sha256)s AND u.disabled_at IS NULL AND s.expires_at > now()
  AND s.last_seen_at > now() - make_interval(secs => %(idle_s)s);

-- name: insert_session
-- A new session; the user's ended ones go.
WITH ended AS (
    DELETE FROM identity.sessions WHERE user_name = %(user)s
      AND (expires_at <= now() OR last_seen_at <= now() - make_interval(secs => %(idle_s)s))
)
INSERT INTO identity.sessions (token_sha256, user_name, expires_at)
VALUES (%(token_sha256)s, %(user)s, now() + make_interval(secs => %(absolute_s)s));

-- name: touch_session
-- The session was used.
UPDATE identity.sessions SET last_seen_at = now() WHERE token_sha256 = %(token_sha256)s;

-- name: delete_session
-- One session ends.
DELETE FROM identity.sessions WHERE token_sha256 = %(token_sha256)s;

-- name: delete_sessions_of
-- All sessions of a user end, except one.
DELETE FROM identity.sessions WHERE user_name = %(user)s AND token_sha256 IS DISTINCT FROM %(except)s;

-- name: select_credentials
-- What signing in compares with.
SELECT name, password_hash, disabled_at IS NOT NULL AS disabled FROM identity.users WHERE lower(name) = lower(%(user)s);

-- name: select_key
-- An API key that still stands, with its user's rights.
SELECT k.key_id, k.secret_sha256, k.user_name, k.workspace, k.full_rights, u.global_admin, k.expires_at,
       coalesce((SELECT jsonb_object_agg(m.workspace, m.role) FROM identity.memberships m WHERE m.user_name = u.name), '{}') AS memberships,
       coalesce((SELECT jsonb_agg(c.cluster) FROM identity.cluster_admins c WHERE c.user_name = u.name), '[]') AS clusters
FROM identity.api_keys k JOIN identity.users u ON u.name = k.user_name
WHERE k.key_id = %(key_id)s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.disabled_at IS NULL
  AND (u.global_admin OR EXISTS (SELECT 1 FROM identity.memberships m WHERE m.user_name = u.name AND m.workspace = k.workspace));

-- name: touch_keys
-- The keys were used.
UPDATE identity.api_keys SET last_used_at = now() WHERE key_id = ANY(%(key_ids)s);

-- name: insert_key
-- A new API key.
INSERT INTO identity.api_keys (key_id, secret_sha256, user_name, workspace, name, full_rights, expires_at)
VALUES (%(key_id)s, %(secret_sha256)s, %(user)s, %(workspace)s, %(name)s, %(full_rights)s, %(expires_at)s)
RETURNING key_id AS id, name, user_name AS "user", workspace, full_rights, created_at, last_used_at, expires_at;

-- name: select_keys_of
-- The API keys of a user that are not revoked, the newest first.
SELECT key_id AS id, name, user_name AS "user", workspace, full_rights, created_at, last_used_at, expires_at
FROM identity.api_keys WHERE user_name = %(user)s AND revoked_at IS NULL ORDER BY created_at DESC, key_id LIMIT 1000;

-- name: revoke_key
-- The key ends; no row where it is not the user's (NULL: anybody's).
UPDATE identity.api_keys SET revoked_at = now()
WHERE key_id = %(key_id)s AND revoked_at IS NULL AND (%(user)s::text IS NULL OR user_name = %(user)s) RETURNING key_id;

-- name: select_live_key_ids
-- Which of these keys still stand.
SELECT k.key_id FROM identity.api_keys k JOIN identity.users u ON u.name = k.user_name
WHERE k.key_id = ANY(%(key_ids)s) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.disabled_at IS NULL
  AND (u.global_admin OR EXISTS (SELECT 1 FROM identity.memberships m WHERE m.user_name = u.name AND m.workspace = k.workspace));

-- name: select_users
-- All users.
SELECT u.name AS username, u.global_admin, u.disabled_at IS NOT NULL AS disabled, u.created_at,
       coalesce((SELECT jsonb_agg(jsonb_build_object('workspace', m.workspace, 'role', m.role) ORDER BY m.workspace)
                 FROM identity.memberships m WHERE m.user_name = u.name), '[]') AS workspaces
FROM identity.users u WHERE %(user)s::text IS NULL OR lower(u.name) = lower(%(user)s) ORDER BY lower(u.name) LIMIT 10000;

-- name: insert_user
-- A new user; no row where the name is taken.
INSERT INTO identity.users (name, password_hash, global_admin) VALUES (%(user)s, %(password_hash)s, %(global_admin)s)
ON CONFLICT DO NOTHING RETURNING name;

-- name: lock_users
-- Nobody else changes users until this transaction ends.
LOCK TABLE identity.users IN SHARE ROW EXCLUSIVE MODE;

-- name: update_user
-- What is NULL stays.
UPDATE identity.users SET
    disabled_at = CASE WHEN %(disabled)s::boolean IS NULL THEN disabled_at WHEN %(disabled)s THEN coalesce(disabled_at, now()) END,
    global_admin = coalesce(%(global_admin)s, global_admin),
    password_hash = coalesce(%(password_hash)s, password_hash),
    password_changed_at = CASE WHEN %(password_hash)s::text IS NULL THEN password_changed_at ELSE now() END
WHERE name = %(user)s RETURNING name;

-- name: count_global_admins
-- How many can sign in.
SELECT count(*) AS n FROM identity.users WHERE global_admin AND disabled_at IS NULL;

-- name: select_workspaces
-- The workspaces that a user may see, with the members where the user administrates them.
SELECT w.name, w.created_at, own.role,
       CASE WHEN %(all)s OR own.role = 'admin' THEN
           coalesce((SELECT jsonb_agg(jsonb_build_object('user', m.user_name, 'role', m.role) ORDER BY lower(m.user_name))
                     FROM identity.memberships m WHERE m.workspace = w.name), '[]')
       ELSE '[]' END AS members
FROM identity.workspaces w LEFT JOIN identity.memberships own ON own.workspace = w.name AND own.user_name = %(user)s
WHERE (%(all)s OR own.role IS NOT NULL) AND (%(workspace)s::text IS NULL OR w.name = %(workspace)s)
ORDER BY lower(w.name) LIMIT 10000;

-- name: insert_workspace
-- A new workspace; no row where the name is taken.
INSERT INTO identity.workspaces (name) VALUES (%(workspace)s) ON CONFLICT DO NOTHING RETURNING name;

-- name: upsert_membership
-- The user has this role; no row where there is no such user or workspace.
INSERT INTO identity.memberships (workspace, user_name, role)
SELECT w.name, u.name, %(role)s FROM identity.workspaces w, identity.users u
WHERE w.name = %(workspace)s AND lower(u.name) = lower(%(user)s)
ON CONFLICT (user_name, workspace) DO UPDATE SET role = excluded.role RETURNING user_name;

-- name: delete_membership
-- The user is no longer in the workspace.
DELETE FROM identity.memberships WHERE workspace = %(workspace)s AND lower(user_name) = lower(%(user)s) RETURNING user_name;

-- name: insert_audit_entry
-- Somebody did or tried something.
INSERT INTO identity.audit_entries (actor, via, from_address, action, subject, result, detail)
VALUES (%(actor)s, %(via)s, %(from_address)s, %(action)s, %(subject)s, %(result)s, %(detail)s);
