"""From values to what people and programs read: pure functions, except for the live view of a run."""
