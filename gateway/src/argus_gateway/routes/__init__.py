"""One file per resource: what comes in, who may, whom to ask, what goes out."""
