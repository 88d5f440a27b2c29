"""Tables as people have them: read, understood, and turned into a network's inputs."""

from jaxmlp.data.tables.preprocessor import TablePreprocessor as TablePreprocessor
from jaxmlp.data.tables.schema import Column as Column
from jaxmlp.data.tables.schema import Schema as Schema
