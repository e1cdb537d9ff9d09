"""Carry out what was decided; asyncio lives here, and its tasks in `drive` alone."""
