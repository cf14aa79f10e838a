"""What Argus must be fast at: `make bench` measures it, prints goal and figure side by side, and writes RESULTS.md."""

BENCHMARKS = (
    "sdk_call", "end_to_end", "event_to_browser", "rebuild", "overload", "series_read", "logs_read", "runs_list", "dashboard", "big_run",
    "idle_and_start", "job_page_frames", "bad_link", "torrent", "deletion",
)  # fmt: skip
"""The modules that `make bench` runs, in the order of RESULTS.md."""
ON_DEMAND = ("peers",)
"""Modules that have a command of their own."""
