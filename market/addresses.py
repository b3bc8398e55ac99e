"""Addresses of a user's own code: `my_package.features:spike` is what stands under that name in that module.

The module is imported where the name is read, in every process. What a module is made of can be told file by file, so
that it can be pinned by hash and can travel. Knows neither features nor rewards.
"""

import ast
import hashlib
import importlib
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def is_own(name: str) -> bool:
    """Whether a name is an address, `module:name`."""
    module, colon, thing = name.partition(":")
    return bool(colon) and thing.isidentifier() and all(word.isidentifier() for word in module.split("."))


def load(address: str, what: str) -> object:
    """What stands at an address, None where its module holds no such name; `what` says in an error who asked.

    Raises ValueError where there is no such module.
    """
    module, _, name = address.partition(":")
    return getattr(load_module(module, f"{what} {address!r}"), name, None)


def load_module(module: str, asked: str) -> ModuleType:
    """Import a module; ValueError, in the words of what `asked` for it, where there is none that Python can read."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"{asked}: there is no module {error.name}; is it on PYTHONPATH?") from error
    except (ImportError, SyntaxError) as error:
        raise ValueError(f"{asked}: {error}") from error


def own_sources(names: Iterable[str]) -> dict[str, bytes]:
    """The files that stand behind addresses, by their place in the package: `my_package/features.py` → source.

    That is the modules named, the packages they stand in, and what these import of their own top-level package.
    """
    modules = sorted({name.partition(":")[0] for name in names if ":" in name})
    files = {file for name in modules for file in _files(name)}
    return {place: path.read_bytes() for place, path in sorted(files)}


def own_digests(names: Iterable[str]) -> dict[str, str]:
    """sha256 of every file of `own_sources`."""
    return {place: hashlib.sha256(source).hexdigest() for place, source in own_sources(names).items()}


def _files(module: str) -> set[tuple[str, Path]]:
    """(place in the package, path) of a module and of all it needs of its own top-level package."""
    load_module(module, module)
    top = module.partition(".")[0]
    waiting, found = {module}, dict[str, Path | None]()
    while waiting:
        name = waiting.pop()
        path = found[name] = _source(name)
        if path is None:
            continue
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        wanted = {package, *_imported(path, package)}
        waiting |= {each for each in wanted if each.partition(".")[0] == top} - set(found)
    if found[module] is None:
        raise ValueError(f"module {module} has no .py file: its code can be neither pinned nor taken along")
    return {(_place(name, path), path) for name, path in found.items() if path is not None}


def _source(name: str) -> Path | None:
    """The .py file of a module; None for a folder without `__init__.py`, for compiled code, and for no module at all.

    Nothing is imported but the packages above it: what a function imports when it is called travels too.
    """
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # a name inside a module: what stands before its last dot is no package
        return None
    origin = spec.origin if spec is not None else None
    return Path(origin) if origin is not None and origin.endswith(".py") else None


def _place(name: str, path: Path) -> str:
    words = name.split(".")
    return "/".join([*words, path.name] if path.stem == "__init__" else [*words[:-1], path.name])


def _imported(path: Path, package: str) -> Iterator[str]:
    """Names of the modules that a file may import: `from .a import b` may mean a.b, or a alone."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
