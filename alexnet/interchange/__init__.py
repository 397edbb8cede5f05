"""Networks to and from ONNX, the file format that other tools read and write.

    interchange.export(model, "model.onnx", (1, 28, 28))   # onnxruntime, for one, runs it
    net = interchange.load("model.onnx")                   # a Module again

The library onnx is an extra, and loaded only when one of the two is called. Reading order:
`writer.py` and `nodes.py`, then `reader.py` and `operators.py`.
"""

from alexnet.interchange.reader import load
from alexnet.interchange.writer import export

__all__ = ["export", "load"]
