"""streamlit run streamlit_app.py: routes the pages and picks the store they read."""

import streamlit as st

from vitime_cache.ui.address import choose_store, settle_address
from vitime_cache.ui.routing import STORE, leave_to_the_server, navigation, page_links, prepare_charts

page = navigation()
links = st.sidebar.container(key="pages", gap="xxsmall")
st.session_state[STORE] = choose_store()
try:
    page.run()
finally:  # a page may stop early; the links carry the choice it made
    page_links(links)
settle_address()
prepare_charts()
leave_to_the_server(page.title)
