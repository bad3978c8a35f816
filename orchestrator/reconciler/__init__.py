"""Converging again and again."""
