"""Simulated devices that upload to the real server and take its packets."""
