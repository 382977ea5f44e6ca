"""How far a posterior of weights is from its prior.

A divergence is a function with the signature of those of `tfp.layers`,
`divergence(posterior, prior, sample)`, of two tfp distributions and a draw from
the posterior.
"""

import keras


def _kl_divergence(posterior, prior):
    from tensorflow_probability import distributions

    return distributions.kl_divergence(posterior, prior)


class _Divergence:
    """A divergence that is saved by its class."""

    def get_config(self) -> dict:
        """Returns the constructor's arguments: none."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Makes the divergence from what `get_config` returned."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_dnc")
class AnalyticKL(_Divergence):
    """The Kullback-Leibler divergence `KL(q‖p)` in closed form.

    For independent normals it is `Σ [ln(σ_p/σ) + (σ² + (μ − μ_p)²) / (2σ_p²) −
    1/2]`.

    Raises:
        NotImplementedError: When called for two distributions of which tfp
            knows no closed form, such as a normal and a mixture.
    """

    def __call__(self, posterior, prior, sample):
        """Returns the divergence; the sample is not used."""
        return _kl_divergence(posterior, prior)


@keras.saving.register_keras_serializable(package="keras_dnc")
class MonteCarloKL(_Divergence):
    """The unbiased estimate `log q(w) − log p(w)` of `KL(q‖p)`, `w` from `q`.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015, equation (2).
    """

    def __call__(self, posterior, prior, sample):
        """Returns the estimate from the sample."""
        return posterior.log_prob(sample) - prior.log_prob(sample)


@keras.saving.register_keras_serializable(package="keras_dnc")
class KLDivergence(_Divergence):
    """`KL(q‖p)` in closed form where tfp knows one, else its estimate."""

    def __call__(self, posterior, prior, sample):
        """Returns the divergence."""
        try:
            return _kl_divergence(posterior, prior)
        except NotImplementedError:
            return MonteCarloKL()(posterior, prior, sample)
