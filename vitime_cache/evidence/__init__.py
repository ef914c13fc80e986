"""Evidence for claims about forecasts and heads: one question, its levels and its verdict."""
