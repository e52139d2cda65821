"""Every port, in memory: dry runs and tests. First-class: each twin passes the contract test of the real adapter."""
