"""What a GPU has to say, by one command: `bash bench/gpu.sh`.

Each stage is a process of its own with a time of its own, so that one which fails, hangs or breaks
the GPU's context leaves the others alone. Reading order: `__main__.py` (what is done, and how long
it may take), `sides.py` (the same precision on both sides), `ceilings.py`, `steps.py` (the table),
`memory.py`, `programs.py` (the suite and the training runs).
"""
