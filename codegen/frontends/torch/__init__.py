"""PyTorch programs of torch.export."""
