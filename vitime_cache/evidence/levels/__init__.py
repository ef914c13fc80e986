"""One file for each level of evidence, and one table of their names, words and figures."""
