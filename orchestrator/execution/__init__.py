"""Doing what a plan says: looking, leases, waves, the journal, and going on after an interruption."""
