"""The verdict: its schema and checks, its words, its JSON, and a made-up one for tests."""
