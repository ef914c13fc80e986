"""The network and what surrounds it: its shapes, its image of a series, its weights file; only here is ViTime known."""
