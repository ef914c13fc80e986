"""What may be said of a head, and what shows it: one file per question."""
