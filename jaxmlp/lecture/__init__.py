"""The tools of the course itself: the perceptron, and a backward pass worked out and drawn."""

from jaxmlp.lecture.graph import ComputationalGraph as ComputationalGraph
from jaxmlp.lecture.perceptron import PerceptronResult as PerceptronResult
from jaxmlp.lecture.perceptron import fit_perceptron as fit_perceptron
from jaxmlp.lecture.perceptron import threshold_unit as threshold_unit
from jaxmlp.lecture.walkthrough import Walkthrough as Walkthrough
from jaxmlp.lecture.walkthrough import explain_backward as explain_backward
