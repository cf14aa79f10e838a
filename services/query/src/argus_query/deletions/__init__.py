"""The read model of deletions of outputs: what was asked for, and what came of it."""
