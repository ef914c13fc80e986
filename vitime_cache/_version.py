"""The version, in a module that every room can import without the package's public names."""

__version__ = "0.3.0"
