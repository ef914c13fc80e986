"""Statistics on plain arrays: corrections, intervals, surrogates, spectra. Nothing here knows a model or a head."""
