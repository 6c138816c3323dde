"""Models that generate: variational autoencoders and generative adversarial networks.

One interface, which the naive Bayes classifiers share as far as they can: ``fit(X, y=None)``, ``partial_fit``,
``sample(n, random_state=..., y=...)``, ``score_samples`` and ``score``, ``loss_curve_``, ``verbose``. Where labels are
given to ``fit``, the model is conditional on them. Training runs outside the interpreter, on the threads that
:func:`deciban.set_config` grants.
"""

from deciban.generative._gan import GAN
from deciban.generative._vae import VAE

__all__ = ["GAN", "VAE"]

# Pickles name the public module, so that the private ones may move.
for _cls in (GAN, VAE):
    _cls.__module__ = __name__
