"""The local paper broker: the simulated exchange behind a `run()` port, with an account that outlives the process."""
