"""The one door to numba: decorators that compile a kernel, or leave it as it is.

Where numba is absent, or `NUMBA_DISABLE_JIT=1` stands in the environment, the same source runs interpreted and
gives the same bits, provided the kernel keeps the rules of `docs/kernels.md`. Knows nothing of trading.
"""

import ast
import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

KERNEL_FOLDERS = ("market", "envs", "memory", "simulators", "agents")

numba: Any = None
if os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0"):
    # Threads that wait for each other spin some 20 µs, then sleep. Left to itself GNU's OpenMP spins for milliseconds:
    # beside any other busy process a step of 0.2 ms then takes ten.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        import numba as _numba

        numba = _numba
    except ImportError:
        numba = None

COMPILED = numba is not None
prange: Any = numba.prange if COMPILED else range


def kernel(function: F) -> F:
    """Compile a scalar or serial kernel; callable from Python and from other kernels."""
    return _compile(function, nogil=True) if COMPILED else function


def lean_kernel(function: F) -> F:
    """Compile a hot kernel that allocates nothing: without the reference counts numba keeps for every array it passes.

    Those counts are atomic: in the step of the batch environment they cost more than the step itself. Divisions go
    unchecked, for a kernel guards its denominators.
    """
    return _compile(function, nogil=True, error_model="numpy", _nrt=False) if COMPILED else function


def inlined_kernel(function: F) -> F:
    """Compile a small kernel that allocates nothing, inlined into its caller by LLVM; uncounted like a lean one."""
    return _compile(function, nogil=True, error_model="numpy", forceinline=True, _nrt=False) if COMPILED else function


def loose_kernel(function: F) -> F:
    """Compile a sum whose order the compiler may choose, so that it fills vector registers; inlined and lean.

    Its last bits differ between machines: whoever calls it must know a bound on that and let nothing else depend on it.
    """
    options = dict(nogil=True, error_model="numpy", forceinline=True, fastmath={"reassoc"}, _nrt=False)
    return _compile(function, **options) if COMPILED else function


def batch_kernel(function: F) -> F:
    """Compile a kernel whose `prange` loop runs over independent episodes or markets."""
    return _compile(function, nogil=True, parallel=True) if COMPILED else function


def calling_kernel(function: F) -> F:
    """Compile a loop that is handed another kernel to call; numba makes one for each such kernel, and caches none."""
    return cast(F, numba.njit(nogil=True)(function)) if COMPILED else function


def entry_of(function: F, *examples: object) -> F:
    """The machine code of a kernel for arguments of the types of `examples`, to be called with such and no others.

    A compiled kernel looks its arguments' types up at every call: with thirty arrays that takes four times as long as
    all the rest of a step. Nothing checks the types here; the caller always passes the same arrays' kind.
    """
    if not COMPILED:
        return function
    kernel: Any = function
    signature = tuple(numba.typeof(example) for example in examples)
    kernel.compile(signature)  # from the cache, where it lies there
    return cast(F, kernel.overloads[signature].entry_point)


_ENTRIES: dict[Any, Any] = {}  # of kernels that were entered once


def entered(function: F, *arguments: object) -> F:
    """`entry_of`, looked up once: for a kernel that is always called with arguments of one kind, those of its first."""
    found = _ENTRIES.get(function)
    if found is None:
        found = _ENTRIES[function] = entry_of(function, *arguments)
    return cast(F, found)


def is_kernel(function: object) -> bool:
    """Whether kernels can call `function`: it went through one of these decorators, or nothing is compiled at all."""
    return not COMPILED or isinstance(function, numba.core.dispatcher.Dispatcher)


def set_threads(count: int) -> None:
    """Use `count` threads in batch kernels of this process (at most the number it started with)."""
    if COMPILED:
        numba.set_num_threads(max(1, min(count, numba.config.NUMBA_NUM_THREADS)))


def threads() -> int:
    """Threads that a batch kernel uses now; 1 where kernels are interpreted."""
    return int(numba.get_num_threads()) if COMPILED else 1


def source_digest(source: Path | None = None) -> str:
    """Hash of a kernel file and of all it imports from the house; without one, of every kernel source there is.

    numba's own key sees only the file of the outermost function: change a fee in a file that it imports, and the
    kernel compiled yesterday goes on charging the old one.
    """
    root = Path(__file__).resolve().parents[1]
    files = {path for folder in KERNEL_FOLDERS for path in (root / folder).glob("*.py")} if source is None else None
    digest = hashlib.sha256()
    for path in sorted(files if files is not None else _reached(Path(source or "").resolve())):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """The folder that holds a folder of compiled kernels for every state of the sources they depend on."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "wavetank"


def cache_folder(source: Path) -> str:
    """Where the kernels of one source file are kept."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    return str((Path(given) if given else cache_root()) / source_digest(source))


def kernel_folders() -> set[str]:
    """Names of the cache folders that today's sources use; any other can be pruned."""
    root = Path(__file__).resolve().parents[1]
    return {source_digest(path) for folder in KERNEL_FOLDERS for path in (root / folder).glob("*.py")}


def _copy_cells(target: Any, at: int, source: Any, start: int, count: int) -> None:
    """Copy `count` cells of `source` from flat cell `start` to `target` at `at`; both contiguous, of one type."""
    target.reshape(-1)[at : at + count] = source.reshape(-1)[start : start + count]


def _prefetch_cells(source: Any, start: int) -> None:
    """Ask the processor for the cache line of flat cell `start`, which is wanted soon."""


def _cell_kernels() -> tuple[Any, Any]:
    """The two as instructions, one memcpy and one hint, where a loop over cells costs more than the work beside it."""
    from llvmlite import ir  # comes with numba, and is of use with it alone
    from numba.core import cgutils, types
    from numba.core.extending import intrinsic
    from numba.np import arrayobj

    builders: Any = cgutils  # numba ships no types
    arrays: Any = arrayobj

    def cell(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
        return builder.gep(arrays.make_array(kind)(context, builder, array).data, [at])

    def copy(typing: Any, target: Any, at: Any, source: Any, start: Any, count: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to, of = (cell(context, builder, signature.args[k], args[k], args[k + 1]) for k in (0, 2))
            size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
            builders.raw_memcpy(builder, to, of, args[4], size)
            return context.get_dummy_value()

        if target.dtype != source.dtype:
            raise TypeError(f"cells of {source.dtype} do not fit into {target.dtype}")
        return types.void(target, types.int64, source, types.int64, types.int64), build

    def prefetch(typing: Any, source: Any, start: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
            hint = builders.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            line = builder.bitcast(cell(context, builder, signature.args[0], args[0], args[1]), byte)
            builder.call(hint, [line, word(0), word(3), word(1)])  # to read, into every cache, as data
            return context.get_dummy_value()

        return types.void(source, types.int64), build

    return intrinsic(copy), intrinsic(prefetch)


copy_cells, prefetch_cells = _cell_kernels() if COMPILED else (_copy_cells, _prefetch_cells)


def address_of(array: Any) -> tuple[int, int, int]:
    """Where an array's cells lie, its rows and columns (a vector is one row): a row of the table that `view` reads.

    Good as long as the array lives; whoever keeps the table keeps the array.
    """
    if not array.flags.c_contiguous:
        raise ValueError(f"an array of shape {array.shape} and strides {array.strides} has holes")
    rows, columns = array.shape if array.ndim == 2 else (1, array.size)
    return int(array.ctypes.data), rows, columns


def _view_kernels() -> tuple[Any, Any]:
    """`vector_at(table, k, dtype)` and `matrix_at(table, k, dtype)`: the array whose address is row k of the table.

    A compiled call takes apart every array that it is given; a table of addresses is one.
    """
    from llvmlite import ir
    from numba.core import types
    from numba.core.extending import intrinsic
    from numba.np import arrayobj

    arrays: Any = arrayobj  # numba ships no types
    word = ir.IntType(64)

    def viewing(dimensions: int) -> Any:
        def view(typing: Any, table: Any, row: Any, dtype: Any) -> Any:
            kind = types.Array(dtype.dtype, dimensions, "C")

            def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                told = arrays.make_array(signature.args[0])(context, builder, args[0])
                first = builder.mul(args[1], word(3))
                address, rows, columns = (
                    builder.load(builder.gep(told.data, [builder.add(first, word(k))])) for k in range(3)
                )
                size = word(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
                shape = [rows, columns][-dimensions:]
                strides = [builder.mul(columns, size), size][-dimensions:]
                array = arrays.make_array(kind)(context, builder)
                data = builder.inttoptr(address, array.data.type)
                arrays.populate_array(array, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
                return array._getvalue()

            return kind(table, types.int64, dtype), build

        return intrinsic(view)

    return viewing(1), viewing(2)


vector_at: Any
matrix_at: Any
vector_at, matrix_at = _view_kernels() if COMPILED else (None, None)  # plain Python needs no addresses


def code_of(function: F, *examples: object) -> Any:
    """What `call_at` calls: the address of a kernel's machine code for arguments of the types of `examples`.

    numba compiles all that a kernel calls once more into the kernel. Where that is a whole market's step it takes a
    minute; called by address it is compiled once. Good as long as the process lives. Interpreted: the function itself.
    """
    if not COMPILED:
        return function
    kernel: Any = function
    signature = tuple(numba.typeof(example) for example in examples)
    kernel.compile(signature)  # from the cache, where it lies there
    made = kernel.overloads[signature]
    return int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))


def _call_at(code: Any, first: Any, second: Any, third: Any) -> int:
    """The int64 that the lean kernel at `code` returns for three arguments, whose types nothing checks."""
    return int(code(first, second, third))


def _call_kernel() -> Any:
    """The same compiled, in numba's own calling convention. An exception would be lost: lean kernels raise none."""
    from numba.core import types
    from numba.core.extending import intrinsic

    def call(typing: Any, code: Any, first: Any, second: Any, third: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args[1:]
            kind = context.call_conv.get_function_type(types.int64, kinds)
            callee = builder.inttoptr(args[0], kind.as_pointer())
            return context.call_conv.call_function(builder, callee, types.int64, kinds, args[1:])[1]

        return types.int64(types.int64, first, second, third), build

    return intrinsic(call)


call_at: Any = _call_kernel() if COMPILED else _call_at


@cache
def _reached(source: Path) -> frozenset[Path]:
    """`source` and every file of the house that its imports lead to."""
    found, waiting = {source}, [source]
    while waiting:
        for path in _imports(waiting.pop()):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return frozenset(found)


@cache
def _imports(source: Path) -> frozenset[Path]:
    found, root, house = set(), Path(__file__).resolve().parents[1], __name__.partition(".")[0]
    for node in ast.walk(ast.parse(source.read_bytes())):
        if not isinstance(node, ast.ImportFrom):
            continue
        words = (node.module or "").split(".")
        if node.level:
            base = source.parents[node.level - 1].joinpath(*words)
        elif words[0] == house:  # as a user's own module imports it
            base = root.joinpath(*words[1:])
        else:
            continue
        found |= {base.with_suffix(".py"), *(base / f"{name.name}.py" for name in node.names)}
    return frozenset(path for path in found if path.is_file())


@cache
def _folder_of(filename: str) -> str:
    return cache_folder(Path(filename))


def _compile(function: F, **options: Any) -> F:
    folder = _folder_of(function.__code__.co_filename)
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, folder  # numba reads it while decorating
    try:
        return cast(F, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # neither package nor home can be written: compile each time rather than crash
        return cast(F, numba.njit(**options)(function))
    finally:
        numba.config.CACHE_DIR = before
