"""Data on the host, as numpy arrays: embedded sets, IDX files, splits and preprocessing."""

from jaxmlp.data.arrays import Dataset as Dataset
from jaxmlp.data.arrays import from_arrays as from_arrays
from jaxmlp.data.datasets import load_digits as load_digits
from jaxmlp.data.datasets import load_idx as load_idx
from jaxmlp.data.preprocessing import PREPROCESSING as PREPROCESSING
from jaxmlp.data.preprocessing import Preprocessing as Preprocessing
from jaxmlp.data.preprocessing import TargetTransform as TargetTransform
from jaxmlp.data.preprocessing import preprocessing_from_dict as preprocessing_from_dict
from jaxmlp.data.preprocessing import preprocessing_to_dict as preprocessing_to_dict
from jaxmlp.data.preprocessing import register_preprocessing as register_preprocessing
from jaxmlp.data.splits import DataSplit as DataSplit
from jaxmlp.data.splits import train_test_split as train_test_split
from jaxmlp.data.standardizer import Standardizer as Standardizer
from jaxmlp.data.tables import TablePreprocessor as TablePreprocessor
