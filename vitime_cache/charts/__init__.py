"""Vega-Lite charts of Datasets, for the app and for export.

Every function takes one head of one signal (`HeadView`), or a Dataset of one signal, and returns one chart that fits a
screen, as a dictionary for `st.vega_lite_chart(chart)`, `figure_bytes(chart)` or, in a notebook,
`altair_chart(chart)`; `*_table` returns the numbers behind it. The theme that shows a chart decides its text colours,
and backgrounds are transparent until `figure_bytes` exports on white. Its words say what it shows; what one can do with
it on a page, the page says.
"""

from vitime_cache.charts.answer import answer_attention as answer_attention
from vitime_cache.charts.answer import answer_attention_table as answer_attention_table
from vitime_cache.charts.answer import answer_forecast as answer_forecast
from vitime_cache.charts.answer import answer_forecast_table as answer_forecast_table
from vitime_cache.charts.answer import answer_heads as answer_heads
from vitime_cache.charts.answer import answer_heads_table as answer_heads_table
from vitime_cache.charts.answer import answer_influence as answer_influence
from vitime_cache.charts.answer import answer_influence_table as answer_influence_table
from vitime_cache.charts.answer import answer_shares as answer_shares
from vitime_cache.charts.answer import answer_shares_table as answer_shares_table
from vitime_cache.charts.claims import claims_grid as claims_grid
from vitime_cache.charts.claims import claims_grid_table as claims_grid_table
from vitime_cache.charts.claims import looking_chart as looking_chart
from vitime_cache.charts.curves import autocorrelation as autocorrelation
from vitime_cache.charts.curves import lag_curves as lag_curves
from vitime_cache.charts.curves import series as series
from vitime_cache.charts.differences import difference_gallery as difference_gallery
from vitime_cache.charts.differences import difference_gallery_table as difference_gallery_table
from vitime_cache.charts.differences import period_shares as period_shares
from vitime_cache.charts.differences import period_shares_table as period_shares_table
from vitime_cache.charts.differences import two_forecasts as two_forecasts
from vitime_cache.charts.differences import two_forecasts_table as two_forecasts_table
from vitime_cache.charts.heads import head_matrix as head_matrix
from vitime_cache.charts.heads import small_multiples as small_multiples
from vitime_cache.charts.linked import linked_head as linked_head
from vitime_cache.charts.maps import AXIS as AXIS
from vitime_cache.charts.maps import LEGEND as LEGEND
from vitime_cache.charts.maps import difference as difference
from vitime_cache.charts.maps import heatmap as heatmap
from vitime_cache.charts.maps import shared_shading as shared_shading
from vitime_cache.charts.maps import token_look as token_look
from vitime_cache.charts.paper import Paper as Paper
from vitime_cache.charts.paper import caption as caption
from vitime_cache.charts.played import layers_in_order as layers_in_order
from vitime_cache.charts.played import layers_in_order_table as layers_in_order_table
from vitime_cache.charts.population import population_heads as population_heads
from vitime_cache.charts.population import population_heads_table as population_heads_table
from vitime_cache.charts.population import population_kinds as population_kinds
from vitime_cache.charts.population import population_kinds_table as population_kinds_table
from vitime_cache.charts.render import FileFormat as FileFormat
from vitime_cache.charts.render import altair_chart as altair_chart
from vitime_cache.charts.render import figure_bytes as figure_bytes
from vitime_cache.charts.render import small_png as small_png
from vitime_cache.charts.render import vega_embed_module as vega_embed_module
from vitime_cache.charts.style import ChartError as ChartError
from vitime_cache.charts.style import Spec as Spec
from vitime_cache.charts.style import beside as beside
from vitime_cache.charts.tables import autocorrelation_table as autocorrelation_table
from vitime_cache.charts.tables import difference_table as difference_table
from vitime_cache.charts.tables import heatmap_table as heatmap_table
from vitime_cache.charts.tables import lag_table as lag_table
from vitime_cache.charts.tables import measures_table as measures_table
from vitime_cache.charts.tables import peak_table as peak_table
from vitime_cache.charts.tables import series_table as series_table
from vitime_cache.charts.tables import token_table as token_table
from vitime_cache.charts.verdicts import verdict_curve as verdict_curve
from vitime_cache.charts.verdicts import verdict_curve_table as verdict_curve_table
from vitime_cache.charts.verdicts import verdict_effect as verdict_effect
from vitime_cache.charts.verdicts import verdict_effect_table as verdict_effect_table
from vitime_cache.charts.verdicts import verdict_sweep as verdict_sweep
from vitime_cache.charts.verdicts import verdict_sweep_table as verdict_sweep_table
from vitime_cache.charts.view import HeadView as HeadView
from vitime_cache.charts.windows import window_picture as window_picture
from vitime_cache.charts.windows import window_table as window_table
