"""The judge's account of a release: its chart, its tables and its report, drawn from what the journal has."""
