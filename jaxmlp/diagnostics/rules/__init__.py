"""The doctor's rules, by what they look at: the data, the network, its training."""
