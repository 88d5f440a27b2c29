"""Backbones of texts: the encoders of transformers, pooled over tokens, and of sentences."""

from pathlib import Path
from typing import Any

from jaxmlp.backbones.hub import fetched, import_transformers, license_of, load_module
from jaxmlp.backbones.sound_models import SPEECH, load_speech
from jaxmlp.backbones.source import Extractor, Source, choose, refuse_pooling, refuse_weights
from jaxmlp.backbones.torch_modules import Run, TorchModel, import_torch
from jaxmlp.optional import import_optional

_POOLINGS = ("mean", "cls", "last")
_LONGEST = 512  # tokens, where the model says nothing


def load_transformers(source: Source) -> Extractor:
    """Load a model of transformers: of texts (BERT, RoBERTa, GPT-2, T5's encoder, ...) or speech.

    Args:
        source: a name on the hub, or a folder with a model and its tokenizer.
    """
    library = import_transformers()
    if source.weights != "random":
        refuse_weights(source)
    with fetched(source, library):
        config = library.AutoConfig.from_pretrained(source.model)
    if config.model_type in SPEECH:
        return load_speech(source, library, config)
    kind = library.T5EncoderModel if config.model_type == "t5" else library.AutoModel
    with fetched(source, library):
        tokenizer = library.AutoTokenizer.from_pretrained(source.model)
        module = load_module(source, kind, config)
    causal = config.model_type.startswith(("gpt", "llama", "mistral", "qwen", "opt", "gemma"))
    pooling = choose("pooling", source.pooling, "last" if causal else "mean", _POOLINGS)
    if tokenizer.pad_token is None:  # as GPT-2 has none: the mask hides what fills up
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    limits = (tokenizer.model_max_length, getattr(config, "max_position_embeddings", _LONGEST))
    longest = min(limit for limit in (*limits, 10**6) if limit and limit > 0)
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        longest = min(longest, config.max_position_embeddings - 2)  # their positions begin at 2
    longest = longest if longest < 10**6 else _LONGEST

    def features(run: Run, items: list[str]) -> Any:
        tokens = tokenizer(
            items, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        ).to(source.device)
        mask = tokens["attention_mask"]
        if tokens["input_ids"].shape[1] == 0 or not mask.any(dim=1).all():
            raise ValueError("a text is empty; leave it out.")
        given = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        return _pool(run(**given).last_hidden_state, mask, pooling)

    model = TorchModel(module, features, source.device)
    name = (
        f"transformers {library.__version__} {config.model_type} sha256:{model.digest()} "
        f"({_say(tokenizer)}, at most {longest} tokens, pooling {pooling})"
    )
    width = getattr(config, "hidden_size", None) or config.d_model
    license = license_of(source.model)
    return Extractor("text", model.extract, name, int(width), license, model)


def _pool(hidden: Any, mask: Any, pooling: str) -> Any:
    """Draw the vectors of a text's tokens together; what fills up has no say.

    Args:
        hidden: (texts, tokens, features), tensors of PyTorch.
        mask: 1 for a token, 0 for what fills up on the right, (texts, tokens).
        pooling: "mean", "cls" (the first token) or "last".

    Returns:
        (texts, features).
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        return hidden[import_torch().arange(len(hidden)), mask.sum(dim=1) - 1]
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)


def load_sentence_transformers(source: Source) -> Extractor:
    """Load a model of sentence-transformers, which pools as it was trained to.

    Args:
        source: a name on the hub, or a folder.
    """
    refuse_pooling(source)
    refuse_weights(source)
    return sentence_extractor(source, source.model, license_of(source.model))


def sentence_extractor(source: Source, place: str, license: str) -> Extractor:
    """Make an extractor of a model of sentence-transformers.

    Args:
        source: what was asked for.
        place: a name on the hub, or a folder.
        license: of the weights.
    """
    library = import_optional(
        "sentence_transformers", f"{source.spelled} needs sentence-transformers", "jaxmlp[text]"
    )
    with fetched(source, import_transformers()):
        encoder = library.SentenceTransformer(place, device=source.device)

    prepare = getattr(encoder, "preprocess", None) or encoder.tokenize  # its name before version 6

    def features(run: Run, items: list[str]) -> Any:
        tokens = library.util.batch_to_device(prepare(items), source.device)
        return run(tokens)["sentence_embedding"]

    model = TorchModel(encoder, features, source.device)
    name = (
        f"sentence-transformers {library.__version__} {Path(source.model).name} "
        f"sha256:{model.digest()} (at most {encoder.max_seq_length} tokens)"
    )
    find = "get_embedding_dimension"  # called otherwise before version 6
    width = getattr(encoder, find, None) or encoder.get_sentence_embedding_dimension
    return Extractor("text", model.extract, name, int(width()), license, model)


def _say(tokenizer: Any) -> str:
    """Say what a tokenizer is: its class, and how many pieces it knows."""
    return f"{type(tokenizer).__name__} of {len(tokenizer)}"
