"""Pictures of a training run; matplotlib is imported by the modules inside, not here."""
