"""Why a gradient is wrong: from the failing leaves to one cause for each, in words."""
