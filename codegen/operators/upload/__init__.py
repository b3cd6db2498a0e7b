"""What a device decides by whether a sample is worth sending."""
