"""What the pages share. Only here, in `pages/` and in `streamlit_app.py` is streamlit imported.

`stores` and `live` say what there is to see, `choice` lets a person choose and keeps the choice in the address,
`figures` shows charts with their downloads and statements with their evidence, `jobs` builds a store in the background.
"""
