"""One harness for this library and its peers: the same work, in the same process, in turns."""

from benchmarks.harness.environment import environment as environment
from benchmarks.harness.results import Results as Results
from benchmarks.harness.results import Row as Row
from benchmarks.harness.results import markdown_table as markdown_table
from benchmarks.harness.results import read_results as read_results
from benchmarks.harness.results import write_json as write_json
