"""C11 for every core."""
