"""Who may do what: users, workspaces, memberships, sessions, API keys, and the audit trail. Owns schema `identity`."""
