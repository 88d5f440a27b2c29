"""What the studies share, from the harness: the machine's description, tables and JSON."""

from jaxmlp.benchmarking import environment as environment
from jaxmlp.benchmarking import markdown_table as markdown_table
from jaxmlp.benchmarking import write_json as write_json
