"""The answer as data: its names and checks, its words, and a made-up one for tests."""
