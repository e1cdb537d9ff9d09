"""`python -m resilient_store.cli` is `resilient-store`."""

from resilient_store.cli import main

main()
