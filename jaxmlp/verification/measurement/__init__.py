"""What a function does: its value at many points, its precision, its noise, its differences."""
