"""The ledger: what attempts cost, from bills or from the machines that they used."""
