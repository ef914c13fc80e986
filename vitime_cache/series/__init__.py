"""Where series come from: files, pasted text, formulas, the examples that come along; all become a `Signal`."""
