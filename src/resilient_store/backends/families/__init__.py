"""The kinds of storage, each with its own table of errors."""
