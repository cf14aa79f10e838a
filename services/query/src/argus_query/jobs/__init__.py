"""Read model of jobs: the list and matrix of a run, one job, and the job counts of the runs list."""
