"""Changing objects through Pulumi: one stack for each workload, its program and its provider in our own process."""
