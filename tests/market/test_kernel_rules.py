"""Kernels keep the rules that make compiled and interpreted runs equal to the last bit.

Banned are the forms that were tried and found to differ: numpy's own mathematics and reductions, powers, `math.hypot`,
float32 arithmetic, sums over `prange`. The lint shows on planted offenders that it sees each of them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("market", "envs", "memory", "simulators", "agents")
DECORATORS = {  # every public decorator of the door to numba
    node.name
    for node in ast.parse((ROOT / "market" / "jit.py").read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.endswith("kernel")
}
ARRAYS = {"zeros", "empty", "ones", "full", "zeros_like", "empty_like", "vector_at", "matrix_at"}
NUMPY_ALLOWED = ARRAYS | {"int64", "float64", "inf", "nan"}
NUMPY_DTYPES = {"uint8", "int8", "int16", "int32", "uint16", "uint32", "uint64", "bool_", "float32"}  # for storage
REDUCTIONS = {"sum", "mean", "std", "var", "prod", "dot", "cumsum", "cumprod", "min", "max", "ptp", "argsort", "sort"}
MATH_BANNED = {"hypot", "pow", "fsum", "dist", "gamma", "lgamma", "cbrt", "exp2"}
BUILTINS_BANNED = {"sum", "pow", "sorted", "divmod", "complex"}


def offences(source: str) -> list[str]:
    """`function:line: what`, for every banned form in a kernel of `source`."""
    tree = ast.parse(source)
    singles = _single_aliases(tree)
    return [
        f"{function.name}:{line}: {what}"
        for function in kernels(tree)
        for line, what in (*_forms(function), *_single_arithmetic(function, singles), *_shared_sums(function))
    ]


def kernels(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(_name(mark) in DECORATORS for mark in node.decorator_list):
            yield node


def _name(node: ast.AST) -> str:
    """The last name of `a`, `m.a` or `a(...)`."""
    if isinstance(node, ast.Call):
        return _name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _inside(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Every node of the body: annotations and decorators are not arithmetic."""
    for statement in function.body:
        yield from ast.walk(statement)


def _forms(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    fine = {id(child) for node in _inside(function) for child in _dtypes_and_narrowings(node)}
    for node in _inside(function):
        if isinstance(node, ast.BinOp | ast.AugAssign):
            if isinstance(node.op, ast.Pow):
                yield node.lineno, "a power: write x * x"
            if isinstance(node.op, ast.MatMult):
                yield node.lineno, "a matrix product: write the loop"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in ("np", "numpy"):
                if node.attr not in NUMPY_ALLOWED and not (node.attr in NUMPY_DTYPES and id(node) in fine):
                    yield node.lineno, f"np.{node.attr}: use math, or a loop"
            elif node.value.id == "math" and node.attr in MATH_BANNED:
                yield node.lineno, f"math.{node.attr}"
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in REDUCTIONS:
                yield node.lineno, f".{node.func.attr}(): write the loop"
            if isinstance(node.func, ast.Name) and node.func.id in BUILTINS_BANNED:
                yield node.lineno, f"{node.func.id}(): write the loop"


def _dtypes_and_narrowings(node: ast.AST) -> Iterator[ast.AST]:
    """Where a narrow type may be named: the dtype of a new array, a value stored, a value widened again at once."""
    if isinstance(node, ast.Call) and _name(node) in ARRAYS:
        yield from (child for part in (*node.args, *node.keywords) for child in ast.walk(part))
    narrowed = node.args[:1] if isinstance(node, ast.Call) and _name(node) == "wide" else []
    if isinstance(node, ast.Assign) and all(isinstance(target, ast.Subscript) for target in node.targets):
        narrowed = [node.value]
    yield from (part.func for part in narrowed if isinstance(part, ast.Call))


def _single_aliases(tree: ast.Module) -> set[str]:
    """Names of this module that stand for a float32 array."""
    aliases = {"Singles"}
    for node in tree.body:
        if isinstance(node, ast.Assign) and "float32" in ast.unparse(node.value):
            aliases |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return aliases


def _single_arithmetic(function: ast.FunctionDef, aliases: set[str]) -> Iterator[tuple[int, str]]:
    """Elements of float32 arguments may be copied, or read through `wide(...)`; never computed with.

    `float(...)` does not help: numba leaves a float32 as it is, and then computes in float32.
    """
    arguments = [*function.args.args, *function.args.kwonlyargs]
    singles = {
        argument.arg
        for argument in arguments
        if argument.annotation is not None
        and ("float32" in (said := ast.unparse(argument.annotation)) or said.strip("'\"") in aliases)
    }
    for parent in _inside(function):
        if not isinstance(parent, ast.BinOp | ast.UnaryOp | ast.Compare | ast.Call | ast.AugAssign | ast.IfExp):
            continue
        if isinstance(parent, ast.Call) and not _computes(parent):
            continue
        for child in [parent.target] if isinstance(parent, ast.AugAssign) else ast.iter_child_nodes(parent):
            if isinstance(child, ast.Subscript) and _name(child.value) in singles and not _is_slice(child.slice):
                yield child.lineno, f"{ast.unparse(child)} is float32: read it through wide(...)"


def _computes(call: ast.Call) -> bool:
    """`math.f(x)` and the builtins do; `wide` is the cure, and a kernel of the house may be given a row."""
    of_math = isinstance(call.func, ast.Attribute) and _name(call.func.value) in ("math", "np")
    return of_math or _name(call) in {"float", "int", "max", "min", "abs", "round"}


def _is_slice(index: ast.expr) -> bool:
    return any(isinstance(node, ast.Slice) for node in ast.walk(index))


def _shared_sums(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    """Names that a prange body updates without having set them itself: numba adds those up in any order."""
    for loop in _inside(function):
        if not (isinstance(loop, ast.For) and isinstance(loop.iter, ast.Call) and _name(loop.iter) == "prange"):
            continue
        own = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
        for statement in loop.body:
            for node in ast.walk(statement):
                if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id not in own:
                    yield node.lineno, f"{node.target.id} is summed over prange"
                if isinstance(node, ast.Assign):
                    used = {inner.id for inner in ast.walk(node.value) if isinstance(inner, ast.Name)}
                    targets = {
                        inner.id
                        for target in node.targets
                        for inner in ast.walk(target)
                        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
                    }
                    for name in sorted(targets & used - own):
                        yield node.lineno, f"{name} is carried over prange"
                    own |= targets
                if isinstance(node, ast.For):
                    own |= {inner.id for inner in ast.walk(node.target) if isinstance(inner, ast.Name)}


ARGUMENTS = "a: float, b: float, x: NDArray[np.float64], s: NDArray[np.float32]"
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).glob("*.py"))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_kernels_keep_the_rules(path: Path) -> None:
    assert offences(path.read_text()) == []


def test_the_lint_sees_the_kernels_of_market_and_envs() -> None:
    found = {
        function.name
        for path in SOURCES
        if path.parent.name in ("market", "envs")
        for function in kernels(ast.parse(path.read_text()))
    }
    assert {"kernel", "inlined_kernel", "batch_kernel"} <= DECORATORS
    named = {"to_lots", "apply_fill", "end_bar", "allowed_lots", "threefry", "log_return", "order_lots", "reward_into"}
    assert named <= found
    assert "walk_parallel" in found
    assert len(found) > 50


def test_nothing_is_compiled_with_fast_math_but_one_sum_whose_bits_are_checked() -> None:
    door, user = ROOT / "market" / "jit.py", ROOT / "memory" / "scoring.py"
    assert [path for path in SOURCES if "fastmath" in path.read_text()] == [door]
    assert door.read_text().count("fastmath") == 1
    loose = [(path, f.name) for path in SOURCES for f in kernels(ast.parse(path.read_text())) if _is_loose(f)]
    assert loose == [(user, "_in_any_order")]
    callers = [f.name for f in kernels(ast.parse(user.read_text())) if "_in_any_order" in set(_called(f))]
    assert callers == ["quick_similarity"]  # which falls back on the sum in order wherever the order could matter


def _called(function: ast.FunctionDef) -> Iterator[str]:
    return (_name(node.func) for node in _inside(function) if isinstance(node, ast.Call))


def _is_loose(function: ast.FunctionDef) -> bool:
    return any(_name(mark) == "loose_kernel" for mark in function.decorator_list)


@pytest.mark.parametrize("mark", [*(f"@{name}" for name in sorted(DECORATORS)), "@jit.kernel", "@kernel(cache=True)"])
@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("return a**2", "power"),
        ("a **= 2\n    return a", "power"),
        ("return pow(a, 2)", "pow()"),
        ("return math.pow(a, 2.0)", "math.pow"),
        ("return math.hypot(a, b)", "math.hypot"),
        ("return np.exp(a)", "np.exp"),
        ("return np.log(a)", "np.log"),
        ("return np.tanh(a)", "np.tanh"),
        ("return np.sqrt(a)", "np.sqrt"),
        ("return np.sum(x)", "np.sum"),
        ("return np.float32(a) * b", "np.float32"),
        ("return np.random.rand()", "np.random"),
        ("return x.sum()", ".sum()"),
        ("return x.mean() + 1.0", ".mean()"),
        ("return x[2:].std()", ".std()"),
        ("return x @ x", "matrix product"),
        ("return sum(x)", "sum()"),
        ("return wide(np.exp(a))", "np.exp"),
        ("return float(np.float32(a)) * b", "np.float32"),
        ("return s[0] * a", "s[0] is float32"),
        ("return float(s[0]) * a", "s[0] is float32"),
        ("return math.exp(s[0])", "s[0] is float32"),
        ("return -s[0]", "s[0] is float32"),
        ("if s[0] > a:\n        return b\n    return a", "s[0] is float32"),
        ("s[0] += a\n    return a", "s[0] is float32"),
        ("return max(s[0], a)", "s[0] is float32"),
        ("t = 0.0\n    for i in prange(9):\n        t += x[i]\n    return t", "t is summed over prange"),
        (
            "t = 0.0\n    for i in prange(9):\n        for j in range(3):\n            t += x[j]\n    return t",
            "t is summed",
        ),
        ("t = 0.0\n    for i in prange(9):\n        t = t + x[i]\n    return t", "t is carried over prange"),
        ("t = 0.0\n    for i in prange(9):\n        t = max(t, x[i])\n    return t", "t is carried over prange"),
    ],
)
def test_a_planted_offender_is_found(mark: str, body: str, what: str) -> None:
    source = f"{mark}\ndef planted({ARGUMENTS}) -> float:\n    {body}\n"
    found = offences(source)
    assert any(what in offence for offence in found), found
    assert all(offence.startswith("planted:") for offence in found)


@pytest.mark.parametrize(
    "body",
    [
        "return a * a + math.sqrt(b) + math.exp(a) + math.log1p(b) + math.tanh(a)",
        "y = np.zeros(3, np.float32)\n    y[0] = a\n    return float(y[0])",
        "return wide(s[0]) * a",
        "s[0] = np.float32(a)\n    return wide(np.float32(b))",
        "x[0] = s[1]\n    return a",
        "t = 0.0\n    for i in range(9):\n        t += x[i]\n    return t",
        "for i in prange(9):\n        t = 0.0\n        for j in (0, 1):\n            t += x[j]\n        x[i] = t",
        "for i in prange(9):\n        x[i] += a\n    return a",
        "return max(a, min(b, 3.0)) + abs(a) + round(b)",
        "return a if a > np.inf else b",
    ],
)
def test_what_is_allowed_passes(body: str) -> None:
    source = (
        f"@kernel\ndef fine(a: float, b: float, x: NDArray[np.float64], s: NDArray[np.float32]) -> float:\n    {body}\n"
    )
    assert offences(source) == []


def test_a_function_that_is_no_kernel_may_do_as_it_likes() -> None:
    assert offences("def free(x):\n    return np.exp(x).sum() ** 2\n") == []
