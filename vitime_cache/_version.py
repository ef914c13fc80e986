"""The version, where every room may read it without a look at the package's face."""

__version__ = "0.3.0"
