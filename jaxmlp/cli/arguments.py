"""The options of the commands, each documented once; a command's signature is a list of them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jaxmlp.optimizers import OPTIMIZERS, SCHEDULES
from jaxmlp.recipes import RECIPES

DATA, _TABLES, NETWORK, TRAINING, OUTPUT = "Data", "Tables", "Network", "Training", "Output"
_PROCESSES = "Several processes"


def option(panel: str, help: str, *names: str, default: bool = True) -> Any:
    """Describe an option.

    Args:
        panel: where the help shows it.
        help: what it says there.
        names: of the option, where they are not its argument's.
        default: whether the help shows the default.
    """
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=default)


# Data

Recipe = Annotated[
    str | None,
    option(
        NETWORK,
        f"How a table is learnt: {', '.join(RECIPES)}; default: tabm. Other options change it.",
        default=False,
    ),
]
Budget = Annotated[
    float | None,
    option(
        TRAINING,
        "Seconds to train in: what a first training leaves goes into a search over the recipe's "
        "numbers by the validation loss, then into an ensemble.",
        default=False,
    ),
]
Trees = Annotated[
    bool,
    option(OUTPUT, "Fit boosted trees on the same rows, and print their scores beside.", "--trees"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with the IDX files.", envvar="JAXMLP_DATA_DIR", rich_help_panel=DATA),
]
Target = Annotated[str | None, option(_TABLES, "Column to predict.", default=False)]
Task = Annotated[
    str | None,
    option(_TABLES, "classification or regression; inferred from the target.", default=False),
]
Drop = Annotated[
    str, option(_TABLES, "Columns to leave out, such as a,b; quoted where a name holds a comma.")
]
Category = Annotated[str, option(_TABLES, "Columns that are categories.")]
Number = Annotated[str, option(_TABLES, "Columns that are numbers.")]
Text = Annotated[
    list[str] | None,
    option(
        _TABLES,
        "Column that is text: it goes through a --backbone of texts, else its groups of letters "
        "are weighed. Give it again for another column.",
        "--text",
        default=False,
    ),
]
ImageColumns = Annotated[
    list[str] | None,
    option(
        _TABLES,
        "Column of paths of images, relative to the table's folder, for a --backbone of images.",
        "--image",
        default=False,
    ),
]
SoundColumns = Annotated[
    list[str] | None,
    option(_TABLES, "Column of paths of sounds, likewise.", "--sound", default=False),
]
Missing = Annotated[
    str,
    option(_TABLES, "Words that mean a missing cell, such as -999,unknown, too."),
]
NoHeader = Annotated[
    bool, option(_TABLES, "The first line is data; columns are x0, x1, ...", "--no-header")
]
Delimiter = Annotated[
    str,
    option(
        _TABLES, "Between cells: a character, tab or whitespace; default: found out.", default=False
    ),
]
Skip = Annotated[int, option(_TABLES, "Lines above the table.")]
Sheet = Annotated[
    str, option(_TABLES, "Sheet of a workbook; default: the only or largest one.", default=False)
]
SchemaFile = Annotated[
    Path | None,
    option(
        _TABLES,
        "JSON or TOML file that says what the columns are, as a run writes it.",
        default=False,
    ),
]
Group = Annotated[
    str | None,
    option(_TABLES, "Column whose equal rows stay in one part of the split.", default=False),
]
Time = Annotated[
    str | None,
    option(_TABLES, "Column to split by: early rows train, late ones test.", default=False),
]
Scaling = Annotated[str, option(_TABLES, "Of numbers: robust, standard or quantile.")]

# The network

Layers = Annotated[str, option(NETWORK, "Sizes of the hidden layers, such as 512,256.")]
ActivationName = Annotated[str, option(NETWORK, "Of the hidden layers: relu, tanh, gelu, ...")]
Init = Annotated[str, option(NETWORK, "Weight initializer; auto: He or Xavier, by activation.")]
BatchNorm = Annotated[bool, option(NETWORK, "Normalize the hidden layers.", "--batch-norm")]
Dropout = Annotated[float, option(NETWORK, "Probability to drop a hidden unit.")]

# Training

OptimizerName = Annotated[str, option(TRAINING, f"{', '.join(OPTIMIZERS)}.")]
LearningRate = Annotated[
    float | None,
    option(
        TRAINING, "Default: 0.001 for adam; each rule has its own.", "--learning-rate", "--lr",
        default=False,
    ),
]  # fmt: skip
Schedule = Annotated[str, option(TRAINING, f"Of the learning rate: {', '.join(SCHEDULES)}.")]
BatchSize = Annotated[int, option(TRAINING, "Examples a step; 0 takes all of them.")]
Epochs = Annotated[int, option(TRAINING, "Passes over the data.")]
L2 = Annotated[float, option(TRAINING, "Weight of the L2 penalty.")]
LabelSmoothing = Annotated[float, option(TRAINING, "Share of the label spread over all classes.")]
Clip = Annotated[float | None, option(TRAINING, "Largest norm of the gradient.", default=False)]
Patience = Annotated[
    int | None,
    option(
        TRAINING,
        "Stop after so many epochs without a better validation loss, and keep the best.",
        default=False,
    ),
]
GradientName = Annotated[str, option(TRAINING, "manual (by hand) or autodiff (jax.grad).")]
Dtype = Annotated[
    str, option(TRAINING, "float32, float64, or bfloat16 products with float32 weights.")
]
Seed = Annotated[int, option(TRAINING, "Of splits, weights and order.")]

# Output

Out = Annotated[
    Path | None,
    option(OUTPUT, "Folder to write; default: the next runs/NAME-NUMBER.", default=False),
]
Force = Annotated[bool, option(OUTPUT, "Replace an existing --out.", "--force")]
Quiet = Annotated[
    bool, option(OUTPUT, "Print the test accuracy and the folder only.", "--quiet", "-q")
]
AsJson = Annotated[
    bool,
    option(OUTPUT, "Print JSON, for programs, and nothing else.", "--json", default=False),
]

# Images, sounds and texts

BackboneName = Annotated[
    str | None,
    option(
        DATA,
        "What makes features of images, sounds or texts, such as torchvision:resnet50, "
        "package:efficientnet-lite0, package:resemblyzer or package:all-MiniLM-L6-v2: of a folder "
        "with one for each class, or of the columns of --text, --image or --sound.",
        "--backbone",
        default=False,
    ),
]
BackboneWeights = Annotated[
    str, option(DATA, "Of the backbone: pretrained, random, or a file.", "--backbone-weights")
]

TuneEpochs = Annotated[
    int,
    option(
        TRAINING,
        "Passes through the backbone of a folder, after the head: its upper blocks train along.",
        "--tune-epochs",
    ),
]
FrozenBlocks = Annotated[
    list[str] | None,
    option(
        TRAINING,
        "Block of the backbone that does not train, such as layer1; give it again for another. "
        "Default: the lower half.",
        "--freeze",
        default=False,
    ),
]
BackboneRate = Annotated[
    float, option(TRAINING, "Learning rate of the backbone's blocks.", "--backbone-lr")
]

# Data past memory

Stream = Annotated[
    bool | None,
    option(
        _TABLES,
        "Read Parquet or CSV block by block instead of into memory; default: for files above "
        "1 GiB, folders and patterns such as 'in/*.parquet'.",
        "--stream/--no-stream",
        default=False,
    ),
]

# Checkpoints

CheckpointEvery = Annotated[
    str | None,
    option(
        OUTPUT,
        "Save the run so often: epochs such as 5, a time such as 10m, or never; default: every "
        "minute.",
        default=False,
    ),
]
Resume = Annotated[
    Path | None,
    option(OUTPUT, "Go on with the run that was started in this folder.", default=False),
]
Distributed = Annotated[
    bool,
    option(
        _PROCESSES,
        "Divide the rows of each batch among all processes that were started with this option, by "
        "SLURM, Kubernetes, Open MPI, on a Cloud TPU, or by hand.",
        "--distributed",
    ),
]
Coordinator = Annotated[
    str | None,
    option(_PROCESSES, "By hand: HOST:PORT of process 0, the same for all.", default=False),
]
NProcesses = Annotated[
    int | None,
    option(_PROCESSES, "By hand: how many processes there are.", "--processes", default=False),
]
ProcessId = Annotated[
    int | None,
    option(_PROCESSES, "By hand: which process this is, from 0.", "--process-id", default=False),
]
KeepCheckpoints = Annotated[
    bool, option(OUTPUT, "Keep the checkpoints when the run has ended.", "--keep-checkpoints")
]
