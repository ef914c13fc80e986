"""Code shared by the pages. Only this package, `pages/` and `streamlit_app.py` import streamlit.

`stores` lists what can be shown, `address` and `options` are the controls and keep their values in the address,
`chart` shows charts with their downloads, `verdicts` and `evidence_view` show what is known about heads, and
`questions` holds the questions that are running. `processes/` runs the model and builds outside the pages' process.
"""
