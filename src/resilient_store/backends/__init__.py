"""One backend, made polite: it answers every call with one of ten outcomes, in bounded time."""
