"""A Gaussian around the weights that ordinary training found."""

import keras
import numpy as np
from keras import ops

from keras_dnc.bayesian.metrics import both_classes, weights_of
from keras_dnc.bayesian.variational import require_tensorflow
from keras_dnc.validation import (
    boolean,
    positive_integer,
    positive_number,
)

LIKELIHOODS = ("classes", "regression")


class DiagonalLaplace:
    """The diagonal Laplace approximation of a trained model.

    `w ~ N(w*, 1/H)`, with `w*` the trained weights and `H` the diagonal of the
    generalized Gauss-Newton matrix of the negative log-likelihood, summed over
    the training examples, plus the prior's precision:

        classes     H = Σ_n Σ_c p_c (∂ ln p_c / ∂w)² + prior_precision
        regression  H = Σ_n Σ_k (∂ y_k / ∂w)² / noise_variance + prior_precision

    It is never negative, which the second derivative itself can be. Use it in
    place of a model in `predict_classes` and `predict_regression`.

    Source: MacKay, [A practical Bayesian framework for backpropagation
    networks](https://doi.org/10.1162/neco.1992.4.3.448), 1992; Martens, [New
    insights and perspectives on the natural gradient method](
    https://arxiv.org/abs/1412.1193), 2020, section 9 (that for these
    likelihoods the matrix is the Fisher matrix, as written above).

    Args:
        model: A trained model of one input and one output. It is left as it
            is, and must not be changed afterwards.
        likelihood: "classes" for an output of probabilities or logits (one
            alone is that of the second of two classes), "regression" for one
            of the targets' means.
        prior_precision: Precision of a normal prior of every weight around
            zero. `keras.regularizers.L2(prior_precision / (2 · examples))` on
            every weight, beside a mean negative log-likelihood as loss, is
            the same prior in training.
        noise_variance: For regression, variance of the targets.
        from_logits: For classes, whether the output is logits.
        seed: Seed of the draws.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_dnc import bayesian
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> inputs = np.random.default_rng(0).normal(size=(20, 3))
    >>> laplace = bayesian.DiagonalLaplace(model, from_logits=True)
    >>> prediction = bayesian.predict_classes(
    ...     laplace.fit(inputs), inputs[:5], from_logits=True
    ... )
    >>> prediction.epistemic.shape
    (5,)
    """

    def __init__(
        self,
        model: keras.Model,
        likelihood: str = "classes",
        prior_precision: float = 1.0,
        noise_variance: float = 1.0,
        from_logits: bool = False,
        seed: int | None = None,
    ):
        require_tensorflow(type(self).__name__)
        if likelihood not in LIKELIHOODS:
            raise ValueError(
                f"`likelihood` must be one of {', '.join(LIKELIHOODS)}. "
                f"Received: likelihood={likelihood!r}"
            )
        self.model = model
        self.likelihood = likelihood
        self.prior_precision = positive_number(
            "prior_precision", prior_precision
        )
        self.noise_variance = positive_number("noise_variance", noise_variance)
        self.from_logits = boolean("from_logits", from_logits)
        self.generator = keras.random.SeedGenerator(seed)
        self.curvatures = None

    def fit(self, inputs, batch_size: int = 8) -> "DiagonalLaplace":
        """Computes the precisions from the training examples.

        The matrix does not depend on the targets.

        Args:
            inputs: Array of shape `(B, ...)`.
            batch_size: Number of examples at a time. A pass needs memory for
                as many gradients of every output.

        Returns:
            Itself. `curvatures` holds an array for each trainable weight, and
            `precisions` what they are with that of the prior, which may be set
            without another `fit`.
        """
        import tensorflow as tf

        batch_size = positive_integer("batch_size", batch_size)
        inputs = np.asarray(inputs)
        if not inputs.ndim or not len(inputs):
            raise ValueError(
                "`inputs` must hold at least one example. Received an array "
                f"of shape {inputs.shape}"
            )
        if not self.model.built:
            self.model(inputs[:1])
        weights = self.model.trainable_variables

        @tf.function(reduce_retracing=True)
        def squares(batch):
            with tf.GradientTape() as tape:
                outputs = self.model(batch, training=False)
                # Steps that a mask hides are no data.
                seen = weights_of(outputs, None, outputs.dtype)
                outputs = self._weighed(outputs) * seen[..., None]
            jacobians = tape.jacobian(
                outputs,
                [weight.value for weight in weights],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return [
                tf.reduce_sum(
                    tf.square(jacobian), axis=range(len(outputs.shape))
                )
                for jacobian in jacobians
            ]

        totals = [np.zeros(weight.shape) for weight in weights]
        for start in range(0, len(inputs), batch_size):
            parts = squares(inputs[start : start + batch_size])
            for total, part in zip(totals, parts, strict=True):
                total += part.numpy()
        self.curvatures = totals
        return self

    @property
    def precisions(self) -> list[np.ndarray]:
        """The diagonal `H`, an array for each trainable weight.

        Raises:
            ValueError: Before `fit`.
        """
        if self.curvatures is None:
            raise ValueError("`fit` must be called before weights are drawn")
        return [part + self.prior_precision for part in self.curvatures]

    def _weighed(self, outputs):
        """Returns tensors whose squared gradients sum to the diagonal."""
        if self.likelihood == "regression":
            return outputs / self.noise_variance**0.5
        outputs = both_classes(outputs, self.from_logits)
        if self.from_logits:
            logs = ops.log_softmax(outputs, axis=-1)
        else:
            logs = ops.log(ops.maximum(outputs, keras.config.epsilon()))
        return ops.stop_gradient(ops.exp(logs / 2)) * logs

    def draw_outputs(self, inputs, samples: int = 100, batch_size: int = 32):
        """Returns outputs for several draws of the weights.

        Args:
            inputs: Array of shape `(B, ...)`.
            samples: Number `S` of draws.
            batch_size: Number of inputs in a pass.

        Returns:
            Array of shape `(S, B, ...)`.

        Raises:
            ValueError: If an argument is out of its range, or before `fit`.
        """
        import tensorflow as tf

        precisions = self.precisions
        samples = positive_integer("samples", samples)
        batch_size = positive_integer("batch_size", batch_size)
        inputs = np.asarray(inputs)
        deviations = [precision**-0.5 for precision in precisions]
        means = self.model.trainable_variables
        # All batches see the same draws.
        draws = [
            ops.convert_to_tensor(mean)
            + ops.convert_to_tensor(deviation, mean.dtype)
            * keras.random.normal(
                (samples, *mean.shape), dtype=mean.dtype, seed=self.generator
            )
            for mean, deviation in zip(means, deviations, strict=True)
        ]
        others = self.model.non_trainable_variables
        output = tf.TensorSpec(None, self.model(inputs[:1]).dtype)

        @tf.function(reduce_retracing=True)
        def call(batch):
            def one(weights):
                outputs, _ = self.model.stateless_call(
                    weights, others, batch, training=False
                )
                return outputs

            return tf.map_fn(one, draws, fn_output_signature=output)

        batches = [
            call(inputs[start : start + batch_size]).numpy()
            for start in range(0, len(inputs), batch_size)
        ]
        return np.concatenate(batches, axis=1)
