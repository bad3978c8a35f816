"""Whether objects work, why not, and waiting until they do."""
