"""Many networks in one program, and the gradients of single examples."""

from jaxmlp.vectorized.cross_validation import cross_validate as cross_validate
from jaxmlp.vectorized.engine import MemberRun as MemberRun
from jaxmlp.vectorized.engine import Outcome as Outcome
from jaxmlp.vectorized.ensemble import Ensemble as Ensemble
from jaxmlp.vectorized.ensemble import Prediction as Prediction
from jaxmlp.vectorized.ensemble import ensemble as ensemble
from jaxmlp.vectorized.executors import Executor as Executor
from jaxmlp.vectorized.executors import choose_executor as choose_executor
from jaxmlp.vectorized.grid import sample as sample
from jaxmlp.vectorized.halving import successive_halving as successive_halving
from jaxmlp.vectorized.members import Fold as Fold
from jaxmlp.vectorized.members import Members as Members
from jaxmlp.vectorized.members import Shared as Shared
from jaxmlp.vectorized.members import make_folds as make_folds
from jaxmlp.vectorized.members import stack as stack
from jaxmlp.vectorized.per_example import clipped_grad_sum as clipped_grad_sum
from jaxmlp.vectorized.per_example import clipped_step as clipped_step
from jaxmlp.vectorized.per_example import gradient_noise_scale as gradient_noise_scale
from jaxmlp.vectorized.per_example import per_example_grad_norms as per_example_grad_norms
from jaxmlp.vectorized.plan import member_keys as member_keys
from jaxmlp.vectorized.results import Member as Member
from jaxmlp.vectorized.results import SweepResult as SweepResult
from jaxmlp.vectorized.sweep import sweep as sweep
