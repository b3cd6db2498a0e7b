"""What a compiled model costs: as an object, as tables, as a page."""
