"""One harness for this library and its peers: the same work, in the same process, in turns."""

from jaxmlp.benchmarking.environment import environment as environment
from jaxmlp.benchmarking.results import Results as Results
from jaxmlp.benchmarking.results import Row as Row
from jaxmlp.benchmarking.results import markdown_table as markdown_table
from jaxmlp.benchmarking.results import read_results as read_results
from jaxmlp.benchmarking.results import write_json as write_json
