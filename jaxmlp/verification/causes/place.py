"""The step of the backward pass at which a gradient, followed back from the loss, goes wrong."""

from jaxmlp.config import MLPConfig
from jaxmlp.messages import joined, phrase
from jaxmlp.verification.causes.failure import Failure
from jaxmlp.verification.causes.reading import Reading


def first_wrong_step(failures: list[Failure], reading: Reading, config: MLPConfig) -> str:
    """Say where the gradient goes wrong first, followed from the loss back to the inputs."""
    wrong = {reading.places[failure.leaf] for failure in failures}
    layers, name = range(reading.n_layers), reading.names
    delta_wrong = [any((l, field) in wrong for field in ("b", "gamma", "beta")) for l in layers]
    weight_wrong = [(l, "W") in wrong for l in layers]
    last = layers[-1]
    if not any(delta_wrong) and not any(weight_wrong):  # what is left is alpha
        l = max(l for l in layers if (l, "alpha") in wrong)
        return phrase(
            "all but alpha is right: look at (phi(z) - z) in dJ/dalpha of {layer}", layer=name[l]
        )
    if not any(delta_wrong):
        if last > 0 and not weight_wrong[0] and all(weight_wrong[1:]):
            return phrase("stale cache: right for the first layer only, whose input is x itself")
        l = max(l for l in layers if weight_wrong[l])
        if config.normalized[l]:
            return phrase(
                "gamma and beta are right, W is not: look at the way back through batch "
                "normalization, gamma / sqrt(var + eps) and both statistics, in {layer}",
                layer=name[l],
            )
        return phrase(
            "dJ/dz is right in every layer: look at h^T in dJ/dW of {layer}", layer=name[l]
        )
    if weight_wrong[last] and not delta_wrong[last]:
        return phrase(
            "stale cache: dJ/d logits is right, but what was kept of the layers below is not"
        )
    l = max(l for l in layers if delta_wrong[l] or weight_wrong[l])
    if l == last and weight_wrong[l]:
        return phrase("followed back from the loss, it goes wrong first at dJ/d logits")
    if l == last:
        return phrase(
            "followed back from the loss, it goes wrong first at dJ/db of {layer}", layer=name[l]
        )
    if (l, "gamma") in wrong and (l, "beta") not in wrong:
        return phrase(
            "beta is right, gamma is not: look at x_hat in dJ/dgamma of {layer}", layer=name[l]
        )
    suspects = [
        phrase("dJ/dh = dJ/dz W^T from {above} to {layer}", above=name[l + 1], layer=name[l]),
        phrase("the dropout mask") if config.dropped[l] else "",
        "1 + alpha (phi' - 1)" if config.parametric[l] else "phi'",
        phrase("batch normalization") if config.normalized[l] else "",
    ]
    return phrase(
        "right down to {above}, wrong from {layer} on: look at {suspects}",
        above=name[l + 1],
        layer=name[l],
        suspects=joined(", ", suspects),
    )
