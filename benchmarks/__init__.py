"""What the README's figures come from; each module runs as `python -m benchmarks.<name>`."""
