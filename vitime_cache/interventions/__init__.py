"""Interventions on heads and their effects on the forecast: knockout, value patching, lag masks."""
