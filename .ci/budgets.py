"""The line budgets: the engine at most 6,400 lines, no file above 400.

The design has 5,000, for the operations that AlexNet and its family need. The sixty beyond them
that a PyTorch listing may ask for are a sixth of that again; four hundred lines more are 16-bit
floats on the CPU, a pool of memory that joins what is free, and faster kernels: Winograd's tiles of
five sizes and for strided layers, columns that overlap in memory, a max-pool's gradient without
nine passes, one call for all parameters.

The engine is tensors, autograd, ops and kernels, without the CUDA kernels; what is built on it
(amp, nn, optim, utils) is counted apart. A line counts if it is neither blank, nor a comment, nor
part of a docstring.
"""

import ast
import io
import pathlib
import sys
import tokenize

ENGINE, FILE = 6400, 400
IGNORED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
           tokenize.ENCODING, tokenize.ENDMARKER}


def code_lines(path: pathlib.Path) -> int:
    """The lines of code in one Python file."""
    source = path.read_text()
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if isinstance(node.value.value, str):
                docstrings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in IGNORED:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def is_engine(path: pathlib.Path) -> bool:
    """Whether a file counts towards the engine's budget."""
    package, *rest = path.parts
    apart = ("amp", "nn", "optim", "utils")
    return package == "minigrad" and rest[0] not in apart and "cuda" not in rest


def main() -> int:
    """Print the counts; 1 if a budget is exceeded."""
    root = pathlib.Path(__file__).resolve().parent.parent
    counts = {
        path.relative_to(root): code_lines(path)
        for package in ("minigrad", "alexnet", "bench")
        for path in sorted((root / package).rglob("*.py"))
    }
    engine = sum(n for path, n in counts.items() if is_engine(path))
    for path, n in sorted(counts.items(), key=lambda item: -item[1])[:5]:
        print(f"{n:5} {path}")
    minigrad = sum(n for path, n in counts.items() if path.parts[0] == "minigrad")
    print(f"engine: {engine} of {ENGINE} lines; minigrad: {minigrad}; all: {sum(counts.values())}")
    long = [str(path) for path, n in counts.items() if n > FILE]
    if long:
        print(f"above {FILE} lines: {', '.join(long)}")
    return int(engine > ENGINE or bool(long))


if __name__ == "__main__":
    sys.exit(main())
