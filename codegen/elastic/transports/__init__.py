"""How uploads and packets travel: a way a file, each a Transport."""
