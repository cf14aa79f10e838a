"""Read model of hosts: the machines that runs reported from."""
