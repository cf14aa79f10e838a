"""One class per fact; the wire kind in CamelCase."""
