"""Values and their laws: nothing in here awaits, reads a clock or talks to anybody."""
