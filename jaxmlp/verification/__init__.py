"""Prove any hand-written gradient or update rule, ours or yours."""

from jaxmlp.verification.gradients import check_gradients as check_gradients
from jaxmlp.verification.report import GradientReport as GradientReport
from jaxmlp.verification.report import LeafReport as LeafReport
from jaxmlp.verification.report import Verdict as Verdict
