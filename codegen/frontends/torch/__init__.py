"""PyTorch programs of torch.export."""

SUFFIXES = (".pt2",)
