"""PyTorch programs of torch.export."""

SUFFIXES = (".pt2",)
FRAMEWORK = "torch"
_PICKLE = (
    "is a pickle, which holds no graph and runs code when it is read; where the model is, write in Python: "
    "model.eval(); program = torch.export.export(model, (torch.zeros(1, 3, 32, 32),)); "
    'torch.export.save(program, "model.pt2"), with one sample of the shape that it takes, and give driftc model.pt2'
)
INSTEAD = {".pt": _PICKLE, ".pth": _PICKLE}
