"""Running playbooks: the process that does, what they require, and what became of each host."""
