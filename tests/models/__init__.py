"""Small .tflite models made in Python, without TensorFlow: a typed builder and a few ready-made networks.

m = ModelBuilder()
x = m.input("x", (1, 8, 8, 3), scale=0.1, zero_point=-3)
y = m.conv_2d(x, weights, bias, weight_scale=0.02, activation=Activation.RELU6, out_scale=0.03, out_zero_point=-128)
m.output(y)
Path("small.tflite").write_bytes(m.build())
"""

from models.builder import ModelBuilder
from models.calibrated import CalibratedBuilder, Node
from models.schema import Activation, Padding, Tensor
from models.zoo import autoencoder_model, keyword_model, residual_model

__all__ = [
    "Activation",
    "CalibratedBuilder",
    "ModelBuilder",
    "Node",
    "Padding",
    "Tensor",
    "autoencoder_model",
    "keyword_model",
    "residual_model",
]
