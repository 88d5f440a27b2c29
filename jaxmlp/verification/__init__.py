"""Prove any hand-written gradient or update rule, ours or yours."""

from jaxmlp.verification.gradients import check_gradients as check_gradients
from jaxmlp.verification.products import check_hvp as check_hvp
from jaxmlp.verification.products import check_jacobian as check_jacobian
from jaxmlp.verification.products import check_vjp as check_vjp
from jaxmlp.verification.report import GradientReport as GradientReport
from jaxmlp.verification.report import LeafReport as LeafReport
from jaxmlp.verification.report import Verdict as Verdict
from jaxmlp.verification.testing import assert_gradients as assert_gradients
from jaxmlp.verification.updates import UpdateReport as UpdateReport
from jaxmlp.verification.updates import check_update_rule as check_update_rule
