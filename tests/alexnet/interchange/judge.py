"""What onnxruntime makes of a file: the second opinion on everything here."""

import onnxruntime


def run(content, feeds):
    """The outputs of the ONNX file `content` for arrays by input name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the cores are ours as well
    session = onnxruntime.InferenceSession(content, options)
    return session.run(None, feeds)
