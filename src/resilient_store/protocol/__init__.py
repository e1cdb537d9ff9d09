"""What to do next: pure decisions from values to values.

Nothing in here awaits, reads a clock, or draws a number; the time comes in as an argument.
"""
