"""The two modes, stable and agile, behind one `Driver` protocol. A mode knows nothing of the other."""
