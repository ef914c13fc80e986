"""Two of a kind held against each other: a signal and its reduced form, two weights, two periods."""
