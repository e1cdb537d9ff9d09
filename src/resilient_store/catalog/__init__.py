"""The durable record of every object. Only this row speaks SQL; nothing in it knows a backend."""
