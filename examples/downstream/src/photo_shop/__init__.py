"""A small shop that prints photographs."""
