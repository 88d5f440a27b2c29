"""Tables as people have them: read, understood, split, and turned into a network's inputs."""

from jaxmlp.data.tables.bins import piecewise_bins as piecewise_bins
from jaxmlp.data.tables.dialect import ReadingOptions as ReadingOptions
from jaxmlp.data.tables.inference import infer_columns as infer_columns
from jaxmlp.data.tables.preprocessor import TablePreprocessor as TablePreprocessor
from jaxmlp.data.tables.reading import is_table_file as is_table_file
from jaxmlp.data.tables.reading import read_table as read_table
from jaxmlp.data.tables.reading import read_table_blocks as read_table_blocks
from jaxmlp.data.tables.row_split import RowSplit as RowSplit
from jaxmlp.data.tables.row_split import split_folds as split_folds
from jaxmlp.data.tables.row_split import split_rows as split_rows
from jaxmlp.data.tables.schema import Column as Column
from jaxmlp.data.tables.schema import Schema as Schema
from jaxmlp.data.tables.schema import read_schema as read_schema
from jaxmlp.data.tables.schema import with_kinds as with_kinds
from jaxmlp.data.tables.target import Target as Target
from jaxmlp.data.tables.target import read_target as read_target
