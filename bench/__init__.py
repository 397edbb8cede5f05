"""How fast minigrad is beside PyTorch: `python -m bench` measures both in one process and in turn.

Reading order: alexnet/timing.py (how time is taken), alexnet/twin.py (the same network in PyTorch,
and the check that it is the same), ops.py and networks.py (what is timed), memory.py, machine.py,
table.py. On a GPU: `gpu/`, which `bash bench/gpu.sh` runs.
Nothing here is needed to use the engine.
"""
