"""The flows themselves, on twins of everything, with a clock of their own and faults that a seed chooses."""
