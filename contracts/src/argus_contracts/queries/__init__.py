"""Questions to `query` and their answers: the shapes of the NATS answers and of the gateway's HTTP bodies alike."""
