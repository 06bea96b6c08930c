"""Labelled tables of any schema: reading, column kinds, leaks, splits, and the recipe from a table to model inputs."""
