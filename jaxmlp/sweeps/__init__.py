"""Many networks in one program: sweeps, folds, halving, ensembles."""

from jaxmlp.sweeps.ensemble import Ensemble as Ensemble
from jaxmlp.sweeps.ensemble import Prediction as Prediction
from jaxmlp.sweeps.ensemble import ensemble as ensemble
from jaxmlp.sweeps.executors import choose_executor as choose_executor
from jaxmlp.sweeps.grid import sample as sample
from jaxmlp.sweeps.progress import SweepProgress as SweepProgress
from jaxmlp.sweeps.results import SweepResult as SweepResult
from jaxmlp.sweeps.results import TrainedMember as TrainedMember
from jaxmlp.sweeps.shards import merge as merge
from jaxmlp.sweeps.shards import shard as shard
from jaxmlp.sweeps.spec import SweepOptions as SweepOptions
from jaxmlp.sweeps.starts import member_keys as member_keys
from jaxmlp.sweeps.sweep import cross_validate as cross_validate
from jaxmlp.sweeps.sweep import successive_halving as successive_halving
from jaxmlp.sweeps.sweep import sweep as sweep
from jaxmlp.training.executor import Executor as Executor
