"""Backbones of speech: the encoders of transformers, the mean over time."""

from typing import Any

from jaxmlp.backbones.hub import fetched, license_of, load_module
from jaxmlp.backbones.sounds import read_sound
from jaxmlp.backbones.source import Extractor, Source, refuse_pooling
from jaxmlp.backbones.torch_modules import Run, TorchModel, import_torch

SPEECH = frozenset({
    "wav2vec2", "wav2vec2-conformer", "wav2vec2-bert", "hubert", "wavlm", "unispeech",
    "unispeech-sat", "sew", "sew-d", "data2vec-audio",
})  # fmt: skip
"""Kinds of models that take sounds as they are."""


def load_speech(source: Source, library: Any, config: Any) -> Extractor:
    """Load a speech model of transformers: Wav2Vec 2.0, HuBERT, WavLM, ...

    Sounds go through one at a time: the norms of some of these models look at the whole batch, and
    silence that fills up would change what they say.

    Args:
        source: a name on the hub, or a folder.
        library: transformers.
        config: of the model.
    """
    refuse_pooling(source)
    with fetched(source, library):
        reader = library.AutoFeatureExtractor.from_pretrained(source.model)
        module = load_module(source, library.AutoModel, config)
    rate = int(reader.sampling_rate)

    def one(run: Run, item: Any) -> Any:
        sound = read_sound(item, rate)
        given = reader(sound, sampling_rate=rate, return_tensors="pt").to(source.device)
        return run(input_values=given["input_values"]).last_hidden_state.mean(dim=1)

    def features(run: Run, items: list[Any]) -> Any:
        return import_torch().cat([one(run, item) for item in items])

    model = TorchModel(module, features, source.device)
    name = (
        f"transformers {library.__version__} {config.model_type} "
        f"sha256:{model.digest()} ({rate} Hz, mean over time)"
    )
    license = license_of(source.model)
    return Extractor("sound", model.extract, name, config.hidden_size, license, model)
