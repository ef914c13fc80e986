"""What `ask` finds where the answer is known, and what it claims where there is nothing to find."""
