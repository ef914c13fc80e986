"""The reference study on top of this library: its API, its pictures, its rollout, and export to files."""
