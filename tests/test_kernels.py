"""The rules of docs/kernels.md, read off the source: forms that would make compiled and interpreted differ."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from wavetank.market.jit import KERNEL_FOLDERS

ROOT = Path(__file__).resolve().parents[1]
DECORATORS = {"kernel", "inlined_kernel", "batch_kernel"}
# What a kernel may take from numpy: memory, types and constants, never arithmetic.
NUMPY = {
    "bool_", "empty", "empty_like", "float32", "float64", "full", "inf", "int8", "int32", "int64", "nan", "ndarray",
    "uint8", "uint32", "uint64", "zeros", "zeros_like",
}  # fmt: skip
MATH = {"acos", "asin", "atan", "cos", "erf", "exp", "fabs", "floor", "ceil", "inf", "isfinite", "isinf", "isnan"} | {
    "log", "log1p", "expm1", "nan", "pi", "sin", "sqrt", "tanh", "trunc", "copysign", "log2", "log10",
}  # fmt: skip
REDUCTIONS = {"sum", "mean", "std", "var", "prod", "cumsum", "cumprod", "dot", "max", "min", "argmax", "argmin"}


def kernels_of(source: str) -> Iterator[ast.FunctionDef]:
    """Functions under one of the house's decorators, however it was imported."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            names = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
            if names & DECORATORS:
                yield node


def faults_of(function: ast.FunctionDef) -> list[str]:
    """Every form in a kernel that the rules ban, as `line: what`."""
    faults = [
        f"{node.lineno}: {fault}"
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(node, ast.expr | ast.stmt) and (fault := _fault(node))
    ]
    return faults + [f"{line}: a sum over prange" for line in _parallel_sums(function)]


def _fault(node: ast.AST) -> str:
    match node:
        case ast.BinOp(op=ast.Pow(), right=ast.Constant()) | ast.AugAssign(op=ast.Pow()):
            return f"{ast.unparse(node)}: write the product, or math.sqrt"
        case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name) if name not in NUMPY:
            return f"np.{name}: write math.* or a loop"
        case ast.Attribute(value=ast.Name(id="math"), attr=name) if name not in MATH:
            return f"math.{name} is not among the functions found identical"
        case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in REDUCTIONS:
            return f"{ast.unparse(owner)}.{name}(): write the loop" if _is_array(owner) else ""
    return ""


def _is_array(owner: ast.expr) -> bool:
    return not (isinstance(owner, ast.Name) and owner.id in ("np", "numpy", "math"))


def _parallel_sums(function: ast.FunctionDef) -> Iterator[int]:
    for loop in ast.walk(function):
        if isinstance(loop, ast.For) and "prange" in ast.unparse(loop.iter):
            nodes = list(ast.walk(loop))
            own = {name for node in nodes for name in _assigned(node)}
            for node in nodes:
                if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id not in own:
                    yield node.lineno


def _assigned(node: ast.AST) -> Iterator[str]:
    """Names that an assignment or a loop makes; what a prange body makes belongs to one episode."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign | ast.For):
        targets = [node.target]
    for target in targets:
        yield from (name.id for name in ast.walk(target) if isinstance(name, ast.Name))


def test_every_kernel_keeps_the_rules_of_bit_identity() -> None:
    faults, count = [], 0
    for folder in KERNEL_FOLDERS:
        for file in sorted((ROOT / folder).glob("*.py")):
            for function in kernels_of(file.read_text()):
                count += 1
                faults += [f"{folder}/{file.name}:{fault} (in {function.name})" for fault in faults_of(function)]
    assert not faults, "\n".join(faults)
    assert count > 30, f"only {count} kernels were read: has a decorator another name?"


@pytest.mark.parametrize(
    "line",
    [
        "return x**2",
        "x **= 2.0\n    return x",
        "return np.exp(x)",
        "return numpy.log(x)",
        "return math.hypot(x, x)",
        "return a.sum()",
        "return (a - x).mean()",
        "total = 0.0\n    for i in prange(4):\n        total += a[i]\n    return total",
    ],
)
def test_a_form_that_breaks_bit_identity_is_found(line: str) -> None:
    (function,) = kernels_of(f"@jit.batch_kernel\ndef f(a, x):\n    {line}\n")
    assert len(faults_of(function)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "return x * x + math.sqrt(x)",
        "return x**a",
        "b = np.empty(4, dtype=np.float64)\n    return b",
        "for i in prange(4):\n        y = 0.0\n        for j in range(4):\n            y += a[j]\n        a[i] = y",
        "return max(x, 0.0)",
    ],
)
def test_a_form_that_keeps_it_is_left_alone(line: str) -> None:
    (function,) = kernels_of(f"@kernel\ndef f(a, x):\n    {line}\n")
    assert faults_of(function) == []


def test_only_decorated_functions_are_kernels() -> None:
    assert list(kernels_of("def f(x):\n    return x**2\n")) == []
