"""What orchestrator claims of its speed, measured against the alternative in the same run, as ratios."""
