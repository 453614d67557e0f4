"""Pure: values in, values out. No clock, network, cluster, environment, randomness or logging."""
