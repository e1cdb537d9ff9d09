"""Many processes on a few paths, with every fault: a plan for each seed, played and judged."""
