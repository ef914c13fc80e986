"""Attention out of the model: captured as it streams, pooled to time, read against lag; one labelled Dataset."""
