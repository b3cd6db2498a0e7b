"""What keras.ops and operators on tensors make, by family. A function under `operation` is registered by being here."""
