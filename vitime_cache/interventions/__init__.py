"""What is done to heads, and what the forecast makes of it: knockout, value patching, lag masks."""
