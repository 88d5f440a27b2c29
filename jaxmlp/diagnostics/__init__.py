"""What goes wrong in training: measured, located, and explained by a doctor."""

from jaxmlp.diagnostics.curvature import Curvature as Curvature
from jaxmlp.diagnostics.curvature import curvature as curvature
from jaxmlp.diagnostics.curvature import gauss_newton_product as gauss_newton_product
from jaxmlp.diagnostics.curvature import hvp as hvp
from jaxmlp.diagnostics.doctor import diagnose as diagnose
from jaxmlp.diagnostics.doctor import findings as findings
from jaxmlp.diagnostics.examine import Examination as Examination
from jaxmlp.diagnostics.examine import examine as examine
from jaxmlp.diagnostics.finding import Finding as Finding
from jaxmlp.diagnostics.finding import FindingKind as FindingKind
from jaxmlp.diagnostics.finding import Severity as Severity
from jaxmlp.diagnostics.lanczos import lanczos as lanczos
from jaxmlp.diagnostics.nonfinite import NonFinite as NonFinite
from jaxmlp.diagnostics.observe import Diagnostics as Diagnostics
from jaxmlp.diagnostics.observe import RunDiagnostics as RunDiagnostics
from jaxmlp.diagnostics.precision import PrecisionReport as PrecisionReport
from jaxmlp.diagnostics.precision import precision_report as precision_report
from jaxmlp.diagnostics.probe import LayerProbe as LayerProbe
from jaxmlp.diagnostics.probe import LayerReadings as LayerReadings
from jaxmlp.diagnostics.probe import probe_layers as probe_layers
from jaxmlp.diagnostics.units import UnitActivity as UnitActivity
from jaxmlp.diagnostics.units import layer_activity as layer_activity
