"""The reference study as a user of the library: its API, its pictures, its rollout, and its figures as files."""
