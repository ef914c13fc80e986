"""Stores: their layout in zarr, and how they are written, committed, read and checked."""
