"""Parameters that a server sends: what of a model can be updated, how it is coded, and the signed packet."""
