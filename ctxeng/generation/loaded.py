"""Models of transformers in memory: loaded once per process, whoever asks for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.adapters import Adapters
from ctxeng.generation.extras import LOCAL, require
from ctxeng.generation.folders import check_model_folder, check_vocabulary
from ctxeng.generation.loading_bar import bars_where_watched
from ctxeng.generation.prefix import PrefixStore, Read
from ctxeng.generation.resting_threads import import_torch
from ctxeng.trace import stage

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CPU_CHUNK, GPU_CHUNK = 256, 2_048
"""Tokens of a prompt that are read in one step, between two looks at whether to go on."""


class LoadedModel:
    """A model with its tokenizer. One forward pass at a time, in the order of asking: several at
    once would only share the same cores, and an adapter is switched for the whole model.
    """

    def __init__(
        self, folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self.folder = folder
        self.model = model
        self.tokenizer = tokenizer
        self.adapters = Adapters(model)
        self.prefixes = PrefixStore(model.config)
        self.ends = _ends(model, tokenizer)
        """Tokens that end a reply."""
        self.chunk = CPU_CHUNK if model.device.type == "cpu" else GPU_CHUNK
        self._turn = threading.Lock()

    @property
    def window(self) -> int | None:
        """Tokens that it was made to read; None: it does not say."""
        found = getattr(self.model.config, "max_position_embeddings", None)
        return found if isinstance(found, int) and found > 0 else None

    @property
    def width(self) -> int:
        """Scores that it gives: at least one for each token."""
        model: Any = self.model
        return int(model.get_output_embeddings().weight.shape[0])

    def read(self, into: Read, ids: Sequence[int]) -> torch.Tensor:
        """Read further tokens; returns the scores of what comes next, shape (width,), float32.

        Raises:
            BackendError: the model failed, mostly for want of memory.
        """
        import torch

        try:
            with self._turn, torch.inference_mode(), self.adapters.used(into.adapter):
                made = self.model(
                    input_ids=torch.tensor([list(ids)], device=self.model.device),
                    past_key_values=into.cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            into.ids.clear()  # what the cache holds is not known any more
            raise BackendError(f"{self.folder}: the model failed: {error}") from error
        into.ids.extend(ids)
        return cast("torch.Tensor", made.logits[0, -1].float())

    def load_adapter(self, folder: Path) -> str:
        """Its name, for ``Read.adapter``. Raises as ``Adapters.load``."""
        with self._turn, bars_where_watched():
            return self.adapters.load(folder)

    def scores(self, ids: Sequence[int], adapter: str = "") -> torch.Tensor:
        """The scores after each of these tokens, shape (tokens, width), float32, read anew."""
        import torch

        with self._turn, torch.inference_mode(), self.adapters.used(adapter):
            made = self.model(input_ids=torch.tensor([list(ids)], device=self.model.device))
        return cast("torch.Tensor", made.logits[0].float())

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=not special, clean_up_tokenization_spaces=False
            )
        )


_models: WeakValueDictionary[Path, LoadedModel] = WeakValueDictionary()
_tokenizers: WeakValueDictionary[Path, PreTrainedTokenizerBase] = WeakValueDictionary()
_loading = threading.RLock()


def load_model(folder: Path) -> LoadedModel:
    """The model of a folder; loaded where it is not in memory, on a GPU where there is one.

    Raises:
        ConfigError: the folder is no model's, or the extra ``local`` is not installed.
        BackendError: it cannot be loaded.
    """
    folder = folder.expanduser().resolve()
    with _loading:
        loaded = _models.get(folder)
        if loaded is None:
            with stage("generate.load") as facts:
                facts["folder"] = folder.name
                loaded = _models[folder] = read_model(folder, device=_device())
    return loaded


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, without the model. Raises as ``load_model``."""
    folder = folder.expanduser().resolve()
    with _loading:
        tokenizer = _tokenizers.get(folder)
        if tokenizer is None:
            for package in LOCAL:
                require(package, "local")
            import_torch()
            from transformers import AutoTokenizer

            with _as_ours(folder, "tokenizer"):
                tokenizer = AutoTokenizer.from_pretrained(
                    str(folder), trust_remote_code=False, local_files_only=True
                )
            backend = getattr(tokenizer, "backend_tokenizer", None)
            if backend is not None:
                backend.no_truncation()
                backend.no_padding()
            _tokenizers[folder] = tokenizer
    return tokenizer


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The tokens of a text, and no others. Lone surrogates, which are no text, become ``?``."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return list(tokenizer.encode(text, add_special_tokens=False))
    # Straight to the library: the calls around it alter the tokenizer, which threads share.
    return list(backend.encode(text, add_special_tokens=False).ids)


def read_model(folder: Path, *, device: str) -> LoadedModel:
    """A copy of its own. Raises as ``load_model``."""
    for package in LOCAL:
        require(package, "local")
    check_model_folder(folder)
    tokenizer = load_tokenizer(folder)
    import torch
    from transformers import AutoModelForCausalLM

    with _as_ours(folder, "model"), bars_where_watched():
        made: Any = AutoModelForCausalLM.from_pretrained(
            str(folder),
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            # Half precision is slower than single on most CPUs, and less exact.
            dtype=torch.float32 if device == "cpu" else "auto",
            output_loading_info=True,
        )
    model, about = made
    absent = sorted(about["missing_keys"])
    if absent:
        raise BackendError(
            f"{folder}: its weights lack {len(absent)} tensors ({absent[0]} …), which would be "
            "random. Copy the folder again, or check config.json."
        )
    check_vocabulary(folder, _largest(tokenizer), model.get_input_embeddings().weight.shape[0])
    return LoadedModel(folder, model.to(device).eval(), tokenizer)


@contextmanager
def _as_ours(folder: Path, what: str) -> Iterator[None]:
    """What transformers raises on a folder, as ``BackendError``."""
    from safetensors import SafetensorError

    try:
        yield
    except ConfigError:
        raise
    except (
        OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, ImportError,
        SafetensorError,
    ) as error:  # fmt: skip
        words = " ".join(str(error).split())[:300]
        raise BackendError(
            f"{folder}: the {what} cannot be loaded: {words}. Does transformers know this model?"
        ) from error


def _device() -> str:
    import_torch()
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    named = [model.generation_config.eos_token_id, model.config.eos_token_id]
    found: set[int] = set()
    for one in [*named, tokenizer.eos_token_id]:
        found.update(one if isinstance(one, list | tuple) else [] if one is None else [one])
    return frozenset(found)


def _largest(tokenizer: Any) -> int:
    return 1 + max(tokenizer.get_vocab().values(), default=-1)
