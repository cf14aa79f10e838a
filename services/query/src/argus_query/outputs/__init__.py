"""Answers about runs' outputs. Their table belongs to the read model of runs (`runs/schema.sql`)."""
