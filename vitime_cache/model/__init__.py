"""The ViTime network, its shapes, its image of a series and its weights files; only this room knows their format."""
