"""streamlit run streamlit_app.py: routes the pages, and picks the store they look at."""

import streamlit as st

from vitime_cache.ui.address import choose_store
from vitime_cache.ui.routing import STORE, navigation

page = navigation()
st.session_state[STORE] = choose_store()
page.run()
