"""`python -m argus.cli`: the `argus` command."""

from __future__ import annotations

from argus.cli import main

main()
