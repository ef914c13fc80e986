"""Trains networks on synthetic series and on a user's own series."""
