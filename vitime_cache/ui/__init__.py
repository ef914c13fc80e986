"""What the pages share. Only here, in `pages/` and in `streamlit_app.py` is streamlit imported.

`stores` and `runs` say what there is to see, `address` and `options` let a person choose and keep the choice in the
address, `chart` shows charts with their downloads, `verdicts` and `evidence_view` what is known of heads, `questions`
what is being asked; `processes/` runs the model and builds outside the pages' process.
"""
