"""Everything that knows zarr or files: how a store is laid out, written, committed, read and checked."""
