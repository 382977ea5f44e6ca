"""Layers whose weights are distributions, and what to do with them.

TensorFlow Probability is imported when a layer is built, not before.
"""

from keras_dnc.bayesian.annealing import (
    KLAnnealing,
    KLLog,
    kl_weight_for,
    variational_layers,
)
from keras_dnc.bayesian.cells import (
    GRUCellFlipout,
    GRUCellReparameterization,
    LSTMCellFlipout,
    LSTMCellReparameterization,
)
from keras_dnc.bayesian.conversion import to_bayesian, to_deterministic
from keras_dnc.bayesian.dense_variational import (
    DenseVariational,
    VariableDistribution,
    posterior_mean_field,
    prior_trainable,
)
from keras_dnc.bayesian.distributions import (
    CentredNormalPrior,
    Deterministic,
    MeanFieldNormal,
    NormalPrior,
    ScaleMixturePrior,
    default_mean_field_normal_fn,
    default_multivariate_normal_fn,
)
from keras_dnc.bayesian.divergences import (
    AnalyticKL,
    KLDivergence,
    MonteCarloKL,
)
from keras_dnc.bayesian.laplace import DiagonalLaplace
from keras_dnc.bayesian.layers import (
    Conv1DFlipout,
    Conv1DReparameterization,
    Conv2DFlipout,
    Conv2DReparameterization,
    Conv3DFlipout,
    Conv3DReparameterization,
    DenseFlipout,
    DenseLocalReparameterization,
    DenseReparameterization,
)
from keras_dnc.bayesian.metrics import (
    BrierScore,
    ExpectedCalibrationError,
    NegativeLogLikelihood,
)
from keras_dnc.bayesian.prediction import (
    Prediction,
    draw_outputs,
    dropout_at_prediction,
    predict_classes,
    predict_regression,
    summarize_classes,
    summarize_regression,
)
from keras_dnc.bayesian.pruning import prune, signal_to_noise
from keras_dnc.bayesian.recurrent import (
    BayesianDNC,
    BayesianDNCCell,
    VariationalRNN,
)
from keras_dnc.bayesian.tfp_models import from_tfp

__all__ = [
    "AnalyticKL",
    "BayesianDNC",
    "BayesianDNCCell",
    "BrierScore",
    "CentredNormalPrior",
    "Conv1DFlipout",
    "Conv1DReparameterization",
    "Conv2DFlipout",
    "Conv2DReparameterization",
    "Conv3DFlipout",
    "Conv3DReparameterization",
    "DenseFlipout",
    "DenseLocalReparameterization",
    "DenseReparameterization",
    "DenseVariational",
    "Deterministic",
    "DiagonalLaplace",
    "ExpectedCalibrationError",
    "GRUCellFlipout",
    "GRUCellReparameterization",
    "KLAnnealing",
    "KLDivergence",
    "KLLog",
    "LSTMCellFlipout",
    "LSTMCellReparameterization",
    "MeanFieldNormal",
    "MonteCarloKL",
    "NegativeLogLikelihood",
    "NormalPrior",
    "Prediction",
    "ScaleMixturePrior",
    "VariableDistribution",
    "VariationalRNN",
    "default_mean_field_normal_fn",
    "default_multivariate_normal_fn",
    "draw_outputs",
    "dropout_at_prediction",
    "from_tfp",
    "kl_weight_for",
    "posterior_mean_field",
    "predict_classes",
    "predict_regression",
    "prior_trainable",
    "prune",
    "signal_to_noise",
    "summarize_classes",
    "summarize_regression",
    "to_bayesian",
    "to_deterministic",
    "variational_layers",
]
