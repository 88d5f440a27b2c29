"""Training: shuffled mini-batches, compiled chunks of steps, early stopping, evaluation."""

from jaxmlp.training.checkpoints import Checkpoints as Checkpoints
from jaxmlp.training.evaluation import evaluate as evaluate
from jaxmlp.training.fit import FitOptions as FitOptions
from jaxmlp.training.fit import fit as fit
from jaxmlp.training.history import History as History
from jaxmlp.training.observation import Observer as Observer
from jaxmlp.training.options import TrainingOptions as TrainingOptions
from jaxmlp.training.program import Program as Program
from jaxmlp.training.program import Settings as Settings
from jaxmlp.training.program import initial_carry as initial_carry
from jaxmlp.training.result import FitResult as FitResult
from jaxmlp.training.result import Progress as Progress
from jaxmlp.training.shuffling import shuffle_words as shuffle_words
from jaxmlp.training.shuffling import shuffled_rows as shuffled_rows
from jaxmlp.training.steps import fit_steps as fit_steps
from jaxmlp.training.stopping import EarlyStopping as EarlyStopping
from jaxmlp.training.stopping import FitStatus as FitStatus
