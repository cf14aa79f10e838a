"""Answers for the dashboard. Its tables belong to the read model of runs (`runs/schema.sql`)."""
