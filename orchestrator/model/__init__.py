"""The values that flow between the rooms: addresses, units, stamps, observations, changes, plans, outcomes.

Pure data: this package imports nothing of ours and does no I/O.
"""
