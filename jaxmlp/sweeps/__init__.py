"""Many networks in one program: sweeps, folds, halving, ensembles."""

from jaxmlp.sweeps.cross_validation import cross_validate as cross_validate
from jaxmlp.sweeps.engine import MemberRun as MemberRun
from jaxmlp.sweeps.engine import Outcome as Outcome
from jaxmlp.sweeps.ensemble import Ensemble as Ensemble
from jaxmlp.sweeps.ensemble import Prediction as Prediction
from jaxmlp.sweeps.ensemble import ensemble as ensemble
from jaxmlp.sweeps.executors import Executor as Executor
from jaxmlp.sweeps.executors import choose_executor as choose_executor
from jaxmlp.sweeps.grid import sample as sample
from jaxmlp.sweeps.halving import successive_halving as successive_halving
from jaxmlp.sweeps.members import Fold as Fold
from jaxmlp.sweeps.members import Members as Members
from jaxmlp.sweeps.members import Shared as Shared
from jaxmlp.sweeps.members import make_folds as make_folds
from jaxmlp.sweeps.members import stack as stack
from jaxmlp.sweeps.plan import member_keys as member_keys
from jaxmlp.sweeps.results import Member as Member
from jaxmlp.sweeps.results import SweepResult as SweepResult
from jaxmlp.sweeps.sweep import sweep as sweep
