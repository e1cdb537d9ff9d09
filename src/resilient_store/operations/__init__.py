"""What an operator runs: functions over a store, none of which imports another."""
