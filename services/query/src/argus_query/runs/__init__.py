"""Read model of runs (on the wire: batches): the list, one run, the facets of the filter."""
