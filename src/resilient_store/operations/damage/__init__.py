"""The damage report: which originals are gone or in danger, told to people and to programs."""
