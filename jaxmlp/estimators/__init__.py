"""Estimators for scikit-learn: drop-in for its MLPs, with what its users have asked for."""

from jaxmlp.estimators.classifier import MLPClassifier as MLPClassifier
from jaxmlp.estimators.regressor import MLPRegressor as MLPRegressor
from jaxmlp.estimators.search import MLPSearchCV as MLPSearchCV
from jaxmlp.estimators.tabular import TabularMLPClassifier as TabularMLPClassifier
from jaxmlp.estimators.tabular import TabularMLPRegressor as TabularMLPRegressor
